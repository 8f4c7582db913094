// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { awaitReset, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { connectToRoot } from '../../src/native/binding.ts';
import { ANSWER } from '../../src/source/border.ts';
import { Terminal } from '../cli/terminal.ts';
import { Program } from '../fleet/process.ts';
import { lacking } from '../software/service.ts';
import { random } from '../unit/diagnose/random.ts';
import { Asking, CALLS, NAMES, statusOf } from './asking.ts';
import { attachedBy, stillThere } from './attached.ts';
import { as, GROUP, noService, READER, ReaderService, SOCKET, USER } from './reader-service.ts';
import { type Output, Running, TCPWHY } from './tcpwhy.ts';

const { server } = HOSTS[4];
const SEED = 2;
const OPTIONS = {
  filter: { groups: [], netns: null },
  records_per_s: 1,
  tier: 'hooks' as const,
};

const member = as(USER, GROUP);
const NO_COLLECTOR = { OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };
const began = (args: string[]) => Running.start(args, undefined, {}, member);

const ports = ({ findings }: Output) =>
  findings
    .filter(({ cause }) => cause === 'no-listener')
    .map(({ flow: { dport }, count }) => `${dport} × ${count}`);

const missing = noService();

describe.skipIf(missing !== null)('beside the service', () => {
  it('a plain user of its group watches, two at once, each only what was asked for', async () => {
    await using _ = await ReaderService.start();
    using lab = Lab.open();
    const inside = ['--netns', `${lab.server.inode}`];
    await using one = await began(['trace', ':3306', ...inside]);
    await using other = await began(['trace', ':3307', ...inside]);
    for (const [port, times] of [
      [3306, 2],
      [3307, 3],
    ] as const)
      awaitReset(dial(lab, lab.client, { address: server, port }, times), 'ECONNREFUSED');
    await one.until((output) => output.count('no-listener') >= 2);
    await other.until((output) => output.count('no-listener') >= 3);
    expect(ports(await one.stop())).toEqual(['3306 × 2']);
    expect(ports(await other.stop())).toEqual(['3307 × 3']);
  });

  it('top shows it what happens, and a recording is its own', async ({ skip }) => {
    const lacks = lacking('tmux');
    skip(lacks !== null, lacks ?? '');
    await using service = await ReaderService.start();
    using lab = Lab.open();
    const own = mkdtempSync(join(tmpdir(), 'tcpwhy-plain-'));
    chownSync(own, USER, USER);
    const file = join(own, 'x.tcpwhy');
    const args = ['top', ':3306', '--netns', `${lab.server.inode}`, '-o', file];
    const terminal = new Terminal([...member, TCPWHY, ...args].join(' '), 120, 30);
    try {
      await terminal.shows(/q quit/, 60_000);
      expect(service.readers).toHaveLength(1);
      awaitReset(dial(lab, lab.client, { address: server, port: 3306 }, 2), 'ECONNREFUSED');
      await terminal.shows(/no-listener +2/);
      terminal.keys('q');
      await terminal.shows(/status=0/);
      const { uid, mode } = statSync(file);
      expect([uid, mode & 0o777]).toEqual([USER, 0o600]);
    } finally {
      terminal.close();
      rmSync(own, { recursive: true });
    }
  }, 120_000);

  it('who watches has no privileges, and who reads for them those of the unit', async () => {
    await using service = await ReaderService.start();
    await using tcpwhy = await began(['trace', ':1']);
    const names = ['Uid', 'CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp'];
    const none = '0'.repeat(16);
    expect(statusOf(tcpwhy.pid, 'Uid', 'CapPrm', 'CapEff', 'NoNewPrivs', 'Seccomp')).toEqual([
      Array(4).fill(USER).join('\t'),
      ...[none, none, '1', '2'],
    ]);
    // What it may read but not open is as root sees it.
    const { hooks } = tcpwhy.output.objects[0] as unknown as { hooks: Record<string, string> };
    await using root = await Running.start(['trace', ':1']);
    expect(root.output.objects[0]).toMatchObject({ hooks });
    const [reader = 0, ...more] = service.readers;
    expect(more).toEqual([]);
    const [uid, permitted, effective, bounding, ...confined] = statusOf(reader, ...names);
    expect(uid).toBe(Array(4).fill(READER).join('\t'));
    expect([permitted, effective]).toEqual([bounding, bounding]);
    expect(confined).toEqual(['1', '2']);
  });

  it('doctor says what the reader lacks', async () => {
    await using _ = await ReaderService.start();
    const [command = '', ...args] = member;
    const { stdout } = spawnSync(command, [...args, TCPWHY, 'doctor', '--json'], {
      encoding: 'utf8',
    });
    const { capabilities_missing, symbols } = JSON.parse(stdout);
    expect(capabilities_missing).toEqual(['CAP_DAC_READ_SEARCH', 'CAP_SYSLOG']);
    expect(symbols).toBe(true);
  });

  it('the agent of a plain user of its group has no privileges, and keeps recordings of its own', async () => {
    await using service = await ReaderService.start();
    const own = mkdtempSync(join(tmpdir(), 'tcpwhy-plain-'));
    chownSync(own, USER, USER);
    const [command = '', ...args] = [...member, TCPWHY, 'agent', ':1', '--dir', own];
    try {
      await using agent = new Program(command, args, NO_COLLECTOR);
      await agent.says(/watching/);
      expect(service.readers).toHaveLength(1);
      expect(statusOf(agent.pid, 'CapPrm', 'CapEff', 'NoNewPrivs', 'Seccomp')).toEqual([
        ...['0'.repeat(16), '0'.repeat(16), '1', '2'],
      ]);
      expect(statSync(join(own, 'agent.000001.tcpwhy.zst')).uid).toBe(USER);
      expect(await agent.stop('SIGTERM')).toBe(0);
    } finally {
      rmSync(own, { recursive: true });
    }
  });

  it.each([
    { who: 'the reader', killed: (_: number, reader: number) => reader },
    { who: 'who watches', killed: (front: number) => front },
  ])('when $who is killed, nothing stays attached', async ({ who, killed }) => {
    await using service = await ReaderService.start();
    await using tcpwhy = await began(['trace', ':1']);
    const [reader = 0] = service.readers;
    const attached = attachedBy(reader);
    expect(attached.links.size).toBeGreaterThan(0);
    process.kill(killed(tcpwhy.pid, reader), 'SIGKILL');
    const { status, lines } = await tcpwhy.ended();
    await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
    await expect.poll(() => service.readers, { timeout: 5000 }).toEqual([]);
    if (who === 'who watches') return;
    expect(status).toBe(2);
    expect(tcpwhy.stderr).toMatch(/^tcpwhy: the service of tcpwhy ended the connection/);
    expect(lines.at(-1)).toContain('"type":"summary"');
  });

  it('lets go who connects and says nothing', async () => {
    await using service = await ReaderService.start();
    const socket = connectToRoot(SOCKET);
    try {
      await expect.poll(() => service.readers, { timeout: 5000 }).toHaveLength(1);
      await expect.poll(() => service.readers, { timeout: 60_000 }).toEqual([]);
    } finally {
      closeSync(socket);
    }
  }, 90_000);

  it('says who may use it', async () => {
    await using _ = await ReaderService.start();
    expect(refusal(as(USER))).toMatch(
      /^tcpwhy: .* serves group tcpwhy only\. Run it as root \(sudo tcpwhy …\), or .* sudo usermod -aG tcpwhy /,
    );
    expect(refusal(member, '--btf', '/proc/self/mem')).toMatch(/^tcpwhy: --btf takes root/);
  });

  it('is neither ended nor tricked by what it is asked', async () => {
    await using service = await ReaderService.start();
    const client = new Client();
    for (const more of [
      { btf: '/etc/shadow' },
      { ring_bytes: 1 << 30 },
      { probes: true },
      { records_per_s: 1e9 },
      { toa_kinds: [1] },
      { filter: { groups: [[{ net: { address: 'x', bits: 8 }, port: null }]], netns: null } },
      { filter: { groups: Array(17).fill([{ net: null, port: 1 }]), netns: null } },
    ]) {
      const answer = client.ask({ call: 'open', options: { ...OPTIONS, ...more } });
      expect([answer.kind, text(answer)]).toEqual([
        ANSWER.error,
        expect.stringContaining('EINVAL'),
      ]);
    }
    expect(client.ask({ call: 'open', options: OPTIONS }).kind).toBe(ANSWER.header);
    const [reader = 0] = service.readers;
    const attached = attachedBy(reader);
    const next = random(SEED);
    const below = (limit: number) => Math.floor(next() * limit);
    const values = [null, true, -1, 1e308, '/etc/shadow', 'x'.repeat(999), [], {}, '\0', 3];
    const pick = (from: readonly unknown[]) => from[below(from.length)];
    for (let asked = 0; asked < 20_000; asked++) {
      const request = Object.fromEntries(NAMES.map((name) => [name, pick(values)]));
      // What is right in form is seldom: each of it does real work.
      if (below(200) === 0) request.call = pick(CALLS);
      expect(client.ask(request).kind).toSatisfy((kind: number) => kind <= ANSWER.error);
    }
    expect(client.ask({ call: 'tick', last: false }).kind).toBe(ANSWER.bytes);
    // What is no request at all ends this one reader.
    const bytes = Buffer.from(Array.from({ length: 1 << 12 }, () => below(256)));
    bytes.writeUInt32LE(0x7fffffff);
    client.say(bytes);
    await expect.poll(() => service.readers, { timeout: 5000 }).toEqual([]);
    await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
    client.close();
    await using _ = await began(['trace', ':1']);
  }, 120_000);
});

it.skipIf(missing !== null)('without the service says how it is had', () => {
  expect(refusal(member)).toMatch(
    /^tcpwhy: not permitted .*: run it as root \(sudo tcpwhy …\), or .* sudo systemctl enable --now tcpwhy\.socket/,
  );
});

/** What it says, at once, to who may not watch. */
function refusal([command = '', ...args]: string[], ...more: string[]): string {
  const { status, stdout, stderr } = spawnSync(
    command,
    [...args, TCPWHY, 'trace', '--for', '1s', ...more],
    { encoding: 'utf8' },
  );
  expect([status, stdout]).toEqual([2, '']);
  return stderr;
}

const text = ({ bytes }: { bytes: Uint8Array }) => Buffer.from(bytes).toString();

/** Whoever may connect. */
class Client extends Asking {
  readonly #socket: number;

  constructor(socket = connectToRoot(SOCKET)) {
    super(socket);
    this.#socket = socket;
  }

  close(): void {
    closeSync(this.#socket);
  }
}
