// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether tshark is here; tools/setup installs it. */
export const HAS_TSHARK = spawnSync('tshark', ['--version']).status === 0;

const OPTIONS = [
  'ip.check_checksum:TRUE',
  'tcp.check_checksum:TRUE',
  'tcp.relative_sequence_numbers:FALSE',
].flatMap((preference) => ['-o', preference]);

/** What tshark reads of each packet of a file, by the names of its fields. */
export function readWithTshark(file: string, fields: readonly string[]): Record<string, string>[] {
  const output = execFileSync(
    'tshark',
    ['-n', '-r', file, ...OPTIONS, '-T', 'json', ...fields.flatMap((field) => ['-e', field])],
    { encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const packets = JSON.parse(output) as { _source: { layers: Record<string, string[]> } }[];
  return packets.map(({ _source: { layers } }) =>
    Object.fromEntries(fields.map((field) => [field, (layers[field] ?? []).join('\n')])),
  );
}

/** The same of bytes. */
export function bytesWithTshark(bytes: Uint8Array, fields: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-pcapng-'));
  try {
    const file = join(folder, 'x.pcapng');
    writeFileSync(file, bytes);
    return readWithTshark(file, fields);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
