// SPDX-License-Identifier: Apache-2.0

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  CAP_SYS_RESOURCE,
  CAPABILITIES,
  has,
  TO_LOCK_MEMORY,
} from '../../src/host/capabilities.ts';
import { sums, TIMES } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { pipe } from '../../src/native/binding.ts';
import { ANSWER } from '../../src/source/border.ts';
import { random } from '../unit/diagnose/random.ts';
import { Asking, CALLS, NAMES, statusOf } from './asking.ts';
import { attachedBy, stillThere } from './attached.ts';
import { BY_SUDO, CALLER } from './caller.ts';
import { readerOf, threadsOf } from './halves.ts';
import { ROOT, Running, TCPWHY } from './tcpwhy.ts';

const numbers = Object.values(CAPABILITIES).map(({ number }): number => number);
/** Where root may not raise its limit of locked memory, the reader keeps what locks without one. */
const LOCKS = has(CAP_SYS_RESOURCE) ? [] : TO_LOCK_MEMORY.filter(has);
/** In the mask of /proc/PID/status. */
const READER_CAPABILITIES = mask([...numbers, ...LOCKS]);
const SEED = 1;
const OPTIONS = {
  filter: { groups: [], netns: null },
  records_per_s: 1,
  tier: 'hooks' as const,
};

/** Only root may write to it. */
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-privileges-'));
chmodSync(folder, 0o755);
afterAll(() => rmSync(folder, { recursive: true }));

function mask(numbers: number[]): string {
  const bits = numbers.reduce((sum, number) => sum | (1n << BigInt(number)), 0n);
  return bits.toString(16).padStart(16, '0');
}

const began = (args: string[] = []) => Running.start(args, undefined, BY_SUDO);

describe('called by sudo', () => {
  it('only what reads the kernel stays root, with the capabilities that it takes', async () => {
    await using tcpwhy = await began();
    const ids = `${CALLER}\t${CALLER}\t${CALLER}\t${CALLER}`;
    for (const thread of threadsOf(tcpwhy.pid))
      expect(
        statusOf(thread, 'Uid', 'Gid', 'Groups', 'CapEff', 'CapPrm', 'NoNewPrivs', 'Seccomp'),
      ).toEqual([ids, ids, `${CALLER}`, '0'.repeat(16), '0'.repeat(16), '1', '2']);
    for (const thread of threadsOf(readerOf(tcpwhy.pid)))
      expect(statusOf(thread, 'Uid', 'CapEff', 'CapPrm', 'NoNewPrivs', 'Seccomp')).toEqual([
        '0\t0\t0\t0',
        ...[READER_CAPABILITIES, READER_CAPABILITIES, '1', '2'],
      ]);
  });

  it('what happens is told as exactly, and the recording is the caller’s', async () => {
    const scenario = SCENARIOS.find(({ id }) => id === 'accept-queue-full');
    if (!scenario) throw new Error('no such scenario');
    const own = mkdtempSync(join(folder, 'own-'));
    chownSync(own, CALLER, CALLER);
    const file = join(own, 'x.tcpwhy');
    using lab = Lab.open();
    await using tcpwhy = await began(['record', '-o', file, '--netns', `${lab.server.inode}`]);
    scenario.run(lab, { times: TIMES, family: 4 });
    await tcpwhy.until((output) => output.count(scenario.cause) >= TIMES);
    const { findings, summary, status } = await tcpwhy.stop();
    expect(sums(findings)).toEqual({ [scenario.cause]: TIMES });
    expect([summary.lost, status]).toEqual([0, 1]);
    expect(findings[0]?.process?.pid).toBe(process.pid);
    const { uid, gid, mode } = statSync(file);
    expect([uid, gid, mode & 0o777]).toEqual([CALLER, CALLER, 0o600]);
    const replayed = spawnSync(TCPWHY, ['replay', file, '--json'], { encoding: 'utf8' });
    expect(replayed.stdout.trim().split('\n').at(-1)).toContain(`"${scenario.cause}":${TIMES}`);
  });

  it('what only root may ask of the host is asked still', async () => {
    const scenario = SCENARIOS.find(({ id }) => id === 'netfilter-drop');
    if (!scenario) throw new Error('no such scenario');
    using lab = Lab.open();
    scenario.prepare?.(lab, { times: TIMES, family: 4 });
    await using tcpwhy = await began(['--netns', `${lab.server.inode}`]);
    scenario.run(lab, { times: TIMES, family: 4 });
    await tcpwhy.until((output) => output.count(scenario.cause) >= TIMES);
    const { findings, objects } = await tcpwhy.stop();
    expect(sums(findings)).toEqual({ [scenario.cause]: TIMES });
    expect(findings[0]?.evidence.rule).toContain('drop');
    const lost = objects.flatMap((one) => (one.type === 'loss' ? [one.name] : []));
    expect(lost).not.toContain('host_refused');
  });

  it('doctor says of the reader what it says as root', () => {
    const [own, reader] = [{}, BY_SUDO].map((env) => {
      const { stdout } = spawnSync(TCPWHY, ['doctor', '--json'], {
        encoding: 'utf8',
        env: { ...process.env, ...env },
      });
      return JSON.parse(stdout);
    });
    expect(reader).toEqual(own);
  });

  it('writes nothing where only root may, and says so', async () => {
    const file = join(folder, 'x.tcpwhy');
    const { status, stdout, stderr } = spawnSync(TCPWHY, ['record', '-o', file, '--for', '1s'], {
      encoding: 'utf8',
      env: { ...process.env, ...BY_SUDO },
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^tcpwhy: cannot write .*x\.tcpwhy: EACCES/);
    expect(stderr).toContain(`user ${CALLER}`);
  });
});

describe.each([
  { half: 'the reader', killed: (tcpwhy: Running) => readerOf(tcpwhy.pid) },
  { half: 'the front', killed: (tcpwhy: Running) => tcpwhy.pid },
])('when $half is killed', ({ half, killed }) => {
  it('the other ends, and nothing stays attached', async () => {
    await using tcpwhy = await began();
    const reader = readerOf(tcpwhy.pid);
    const attached = attachedBy(reader);
    expect(attached.links.size).toBeGreaterThan(0);
    process.kill(killed(tcpwhy), 'SIGKILL');
    const { status, lines } = await tcpwhy.ended();
    await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
    if (half === 'the front') return;
    expect(status).toBe(2);
    expect(tcpwhy.stderr).toMatch(/^tcpwhy: the half of tcpwhy that reads the kernel is gone/);
    expect(lines.at(-1)).toContain('"type":"summary"');
  });
});

it('a reader that is stopped does not keep the other from ending when it is asked to', async () => {
  await using tcpwhy = await began();
  const reader = readerOf(tcpwhy.pid);
  const attached = attachedBy(reader);
  process.kill(reader, 'SIGSTOP');
  try {
    process.kill(tcpwhy.pid, 'SIGTERM');
    await expect.poll(() => tcpwhy.stderr, { timeout: 40_000 }).toMatch(/does not answer/);
  } finally {
    process.kill(reader, 'SIGCONT');
  }
  const { status, lines } = await tcpwhy.ended();
  expect(status).toBe(2);
  expect(lines.at(-1)).toContain('"type":"summary"');
  await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
});

/** Of a half that is who called: its files are its own to write. */
const OF_CALLER = {
  write: '',
  make: '',
  run: 'EPERM',
  user: 'EPERM',
  signal: 'EPERM',
  load: 'EPERM',
  kernel: 'EPERM',
};

it.each([
  {
    half: 'reader',
    lacks: {
      write: 'EPERM',
      make: 'EPERM',
      run: 'EPERM',
      user: 'EPERM',
      signal: 'EPERM',
      load: 'EPERM',
      kernel: '',
    },
  },
  { half: 'front', lacks: OF_CALLER },
  { half: 'teller', lacks: OF_CALLER },
])('the $half can do no more than it has to', ({ half, lacks }) => {
  const script = `
    import { confine, deviceName, Session } from '${ROOT}src/native/binding.ts';
    import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
    import { spawnSync } from 'node:child_process';
    const codeOf = (act) => { try { return act()?.error?.code ?? ''; } catch (error) { return error.code; } };
    confine('${half}');
    const told = {
      write: codeOf(() => writeFileSync('${folder}/${half}', '')),
      make: codeOf(() => void mkdtempSync('${folder}/')),
      run: codeOf(() => spawnSync('true')),
      user: codeOf(() => process.setuid(1)),
      signal: codeOf(() => process.kill(process.ppid, 0)),
      load: codeOf(() => Session.attach({
        object: '${ROOT}build/tcpwhy.bpf.o', perfMap: 'events', ringBytes: 4096,
      }).close()),
      kernel: codeOf(() => void deviceName(1, '/proc/self/ns/net')),
    };
    console.log(JSON.stringify({ told, reads: readFileSync('/proc/self/status').length > 0 }));
  `;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module-typescript', '-e', script],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({ told: lacks, reads: true });
});

describe('what reads the kernel', () => {
  it('is neither ended nor tricked by what it is asked', async () => {
    await using reader = await Reader.start();
    const next = random(SEED);
    const below = (limit: number) => Math.floor(next() * limit);
    const values = [null, true, -1, 1e308, '/etc/shadow', 'x'.repeat(999), [], {}, '\0', 3];
    const pick = (from: readonly unknown[]) => from[below(from.length)];
    for (let asked = 0; asked < 20_000; asked++) {
      const request = Object.fromEntries(NAMES.map((name) => [name, pick(values)]));
      // What is right in form is seldom: each of it does real work.
      if (below(200) === 0) request.call = pick(CALLS);
      expect(reader.ask(request).kind).toSatisfy((kind: number) => kind <= ANSWER.error);
    }
    const again = reader.ask({ call: 'open', options: OPTIONS });
    expect(again.kind).toBe(ANSWER.error);
    expect(Buffer.from(again.bytes).toString()).toContain('EALREADY');
    expect(reader.ask({ call: 'tick', last: false }).kind).toBe(ANSWER.bytes);
    expect(statusOf(reader.pid, 'Seccomp', 'CapEff')).toEqual(['2', expect.any(String)]);
  }, 120_000);

  it('ends where a request is longer than any is', async () => {
    await using reader = await Reader.start();
    const attached = attachedBy(reader.pid);
    reader.say(Buffer.from([0xff, 0xff, 0xff, 0x7f]));
    await reader.ended();
    await expect.poll(() => stillThere(attached), { timeout: 5000 }).toEqual([]);
  });
});

/** The half that is root, as somebody has it who took the other one over. */
class Reader extends Asking {
  readonly #to: number;
  readonly #from: number;
  readonly #ended: Promise<unknown>;
  readonly pid: number;

  private constructor() {
    const requests = pipe();
    const answers = pipe();
    super(requests.to, answers.from);
    const child = spawn(TCPWHY, ['reader'], {
      stdio: ['ignore', 'ignore', 'inherit', requests.from, answers.to],
    });
    this.#ended = once(child, 'exit');
    this.pid = child.pid ?? 0;
    closeSync(requests.from);
    closeSync(answers.to);
    this.#to = requests.to;
    this.#from = answers.from;
  }

  static async start(): Promise<Reader> {
    const reader = new Reader();
    expect(reader.ask({ call: 'open', options: OPTIONS }).kind).toBe(ANSWER.header);
    return reader;
  }

  ended(): Promise<unknown> {
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#to);
    closeSync(this.#from);
    await this.#ended;
  }
}
