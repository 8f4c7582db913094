// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/dist/roots.ts FILE CACHE [SUITE…]    as root
//
// Runs the one file in root file systems that have only what is always there, and writes what came of it to
// docs/install.md.

import { type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { read, repository } from '../generated.ts';
import { installPage, type Row } from './install-page.ts';

const SUITES = ['bullseye', 'bookworm', 'trixie', 'testing'];
/** Nobody listens there. */
const PORT = '59';
const CONNECT = `exec 3<>/dev/tcp/127.0.0.1/${PORT}`;
const STARTS = 5;

const [file = '', cache = '', ...chosen] = process.argv.slice(2);
const rows: Row[] = [];
for (const suite of chosen.length > 0 ? chosen : SUITES) {
  const root = join(cache, suite);
  mkdirSync(cache, { recursive: true });
  const { status } = spawnSync(join(repository, 'tools/dist/root'), [suite, root], {
    stdio: 'inherit',
  });
  if (status === 3) console.log(`${suite}: not served by the archive`);
  else if (status !== 0) process.exit(1);
  else rows.push(await tried(suite, root));
  console.log(JSON.stringify(rows.at(-1)));
}
writeFileSync(
  join(repository, 'docs/install.md'),
  installPage(read('docs/install.md'), rows, `Linux ${release().match(/^\d+\.\d+/)?.[0]}`),
);
process.exitCode = rows.length > 0 && rows.every(({ ok }) => ok) ? 0 : 1;

async function tried(suite: string, root: string): Promise<Row> {
  const place = join(root, 'tmp/tcpwhy');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  copyFileSync(file, join(place, 'tcpwhy'));
  const inside = (...command: string[]) => ({
    command: 'unshare',
    args: [
      ...['--mount', '--propagation', 'private', 'sh', '-ec'],
      ...[
        'mount --rbind /proc "$0/proc"; mount --rbind /sys "$0/sys"; exec chroot "$0" env -i PATH=/usr/bin:/bin "$@"',
        root,
      ],
      ...command,
    ],
  });
  const run = (command: string[], options: SpawnSyncOptions = {}) => {
    const { command: program, args } = inside(...command);
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', ...options });
    return { status, text: `${stdout}${stderr}`, stdout: String(stdout) };
  };
  const tcpwhy = (...args: string[]) => run(['/tmp/tcpwhy/tcpwhy', ...args]);

  const debian = run(['cat', '/etc/debian_version']).stdout.trim();
  const glibc = run(['ldd', '--version']).stdout.match(/(\S+)$/m)?.[1] ?? '?';
  const starts = Array.from({ length: STARTS }, () => {
    const begin = performance.now();
    tcpwhy('--version');
    return performance.now() - begin;
  });
  const version = tcpwhy('--version');
  const doctor = tcpwhy('doctor');
  const traced = await trace();
  const replayed = tcpwhy('replay', '/tmp/tcpwhy/seen.tcpwhy');
  const reported = tcpwhy('report', '/tmp/tcpwhy/seen.tcpwhy');
  rmSync(place, { recursive: true });
  const said = (works: boolean, { text }: { text: string }) =>
    works ? null : text.trim().split('\n').slice(-3).join(' ');
  const commands = {
    '--version': said(version.status === 0, version),
    doctor: said(doctor.status === 0 && /^yes {2}drop/m.test(doctor.text), doctor),
    trace: said(traced.status === 1 && /"cause":"no-listener"/.test(traced.text), traced),
    replay: said(replayed.status === 1 && /no-listener/.test(replayed.text), replayed),
    report: said(reported.status === 0 && /no-listener/.test(reported.text), reported),
  };
  return {
    ...{ suite, debian, glibc, commands, start_ms: Math.round(Math.min(...starts)) },
    ok: Object.values(commands).every((why) => why === null),
  };

  /** A connect that nobody answers, once it watches. */
  async function trace(): Promise<{ status: number | null; text: string }> {
    const { command, args } = inside(
      ...['/tmp/tcpwhy/tcpwhy', 'trace', `:${PORT}`, '--first', '--for', '60s', '--json'],
      ...['-o', '/tmp/tcpwhy/seen.tcpwhy'],
    );
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += chunk;
    });
    const over = once(child, 'close');
    for await (const line of createInterface({ input: child.stdout })) {
      text += `${line}\n`;
      if (JSON.parse(line).type === 'start') run(['bash', '-c', CONNECT]);
    }
    const [status] = await over;
    return { status, text };
  }
}
