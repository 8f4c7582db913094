// SPDX-License-Identifier: Apache-2.0

import { copyFileSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RECORDINGS, TCPWHY } from './run.ts';
import { Terminal } from './terminal.ts';

const command = `${TCPWHY} top --from ${join(RECORDINGS, 'demo.tcpwhy')}`;

describe.each([
  [80, 24],
  [200, 50],
])('top in a terminal of %i x %i', (columns, rows) => {
  let terminal: Terminal;
  beforeEach(() => {
    terminal = new Terminal(command, columns, rows);
  });
  afterEach(() => terminal.close());

  test('lists findings within the width, opens one, and quits', { timeout: 60_000 }, async () => {
    const list = await terminal.shows(/accept-queue-full[\s\S]*q quit/);
    expect(list).toMatch(/REPLAY [1-9]?\d%/);
    expect(list).toMatch(/CAUSE +COUNT/);
    expect(list.split('\n').filter((row) => row.length > columns)).toEqual([]);
    expect(terminal.modes().alternate).toBe(true);

    terminal.keys('/');
    terminal.keys('accept');
    terminal.keys('Enter');
    await terminal.shows(/> E accept-queue-full/);
    terminal.keys('Enter');
    const detail = await terminal.shows(/finding 1 of/);
    expect(detail).toMatch(/WHAT TO DO/);
    expect(detail).toMatch(/the process does not accept\(\) fast enough/);
    expect(detail).toMatch(/^ +ss -ltnp 'sport = :8080'$/m);

    terminal.keys('Escape');
    await terminal.shows(/CAUSE +COUNT/);
    terminal.keys('?');
    await terminal.shows(/sort/i);
    terminal.keys('Escape');
    // Escape and a letter at once are one key to a terminal.
    await terminal.shows(/CAUSE +COUNT/);
    terminal.keys('p');
    await terminal.shows(/PAUSED/);
    terminal.keys('q');
    await terminal.shows(/status=0/);
    expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
  });

  test('survives being made small and large again', { timeout: 60_000 }, async () => {
    await terminal.shows(/q quit/);
    terminal.resize(60, 12);
    await terminal.shows(/80x24/);
    terminal.resize(columns, rows);
    await terminal.shows(/CAUSE +COUNT[\s\S]*q quit/);
    terminal.keys('q');
    await terminal.shows(/status=0/);
  });
});

test('a terminal that has no size, as a serial line, is asked for none again and again', {
  timeout: 60_000,
}, async () => {
  const terminal = new Terminal(`stty cols 0 rows 0; ${command}`, 80, 24);
  try {
    await terminal.shows(/REPLAY [1-9]?\d%[\s\S]*q quit/);
    const open = `/proc/${terminal.foreground()}/fd`;
    const opened = readdirSync(open).map((fd) => linkOf(join(open, fd)));
    expect(opened).toContainEqual(expect.stringMatching('^/dev/pts/'));
    expect(opened).not.toContain('/dev/tty');
  } finally {
    terminal.close();
  }
});

/** Null where it is closed by now. */
function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

test('a terminal that is dumb is told so', { timeout: 60_000 }, async () => {
  const terminal = new Terminal(`TERM=dumb ${command}`, 80, 24);
  try {
    expect(await terminal.shows(/status=2/)).toContain('top needs a terminal; without one use');
  } finally {
    terminal.close();
  }
});

describe('of a recording', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-top-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const copy = join(folder, 'x.tcpwhy');
  let terminal: Terminal;
  const play = (...more: string[]) => {
    copyFileSync(join(RECORDINGS, 'demo.tcpwhy'), copy);
    terminal = new Terminal([TCPWHY, 'top', '--from', copy, ...more].join(' '), 100, 24);
  };
  afterEach(() => terminal.close());

  test('only what is asked for is shown', { timeout: 60_000 }, async () => {
    play(':3269');
    expect(await terminal.shows(/only port 3269/)).not.toMatch(/listener-closed/);
    for (let i = 0; i < 30; i++) terminal.keys('Right');
    const list = await terminal.shows(/recording ended/);
    expect(list).toMatch(/peer-rewritten/);
    expect(list).not.toMatch(/listener-closed|linger-zero-close/);
    terminal.keys('q');
    await terminal.shows(/status=0/);
  });

  test('a capture is shown as one', { timeout: 60_000 }, async () => {
    const capture = join(RECORDINGS, '../captures/synack-wrong-source-client.pcap');
    terminal = new Terminal(`${TCPWHY} top --from ${capture}`, 100, 24);
    expect(await terminal.shows(/recording ended/)).toMatch(/synack-wrong-source +3/);
    terminal.keys('q');
    await terminal.shows(/status=0/);
  });

  test('with a capture beside it, on one clock', { timeout: 60_000 }, async () => {
    const capture = join(RECORDINGS, '../captures/synack-wrong-source-client.pcap');
    play(capture, '10.0.0.0/8');
    await terminal.shows(/only net 10\.0\.0\.0\/8/);
    for (let i = 0; i < 30; i++) terminal.keys('Right');
    expect(await terminal.shows(/recording ended/)).toMatch(/ and 1 more /);
    terminal.keys('/');
    terminal.keys('source-client');
    terminal.keys('Enter');
    await terminal.shows(/> E synack-wrong-source/);
    terminal.keys('Enter');
    expect(await terminal.shows(/finding 1 of 1/)).toMatch(/seen in +synack-wrong-source-client/);
    terminal.keys('q');
    await terminal.shows(/status=0/);
  });

  test('that is gone when it is wound back, it says so', { timeout: 60_000 }, async () => {
    play();
    await terminal.shows(/CAUSE +COUNT/);
    rmSync(copy);
    terminal.keys('Left');
    const screen = await terminal.shows(/status=\d+/);
    expect(screen).toMatch(/tcpwhy: cannot read .*x\.tcpwhy: ENOENT[\s\S]*status=2/);
    expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
    terminal.keys('echo $((6 * 7))', 'Enter');
    await terminal.shows(/echo \$\(\(6 \* 7\)\)\s+42/);
  });

  test('what is for the kernel only is refused', { timeout: 60_000 }, async () => {
    play('--tier', 'tracepoints');
    await terminal.shows(/--from and --tier together[\s\S]*status=2/);
  });
});

describe('however it ends, the terminal is as it was', () => {
  let terminal: Terminal;
  beforeEach(async () => {
    terminal = new Terminal(command, 80, 24);
    await terminal.shows(/q quit/);
  });
  afterEach(() => terminal.close());

  test('Ctrl-C', { timeout: 60_000 }, async () => {
    terminal.keys('C-c');
    await terminal.shows(/status=\d+/);
    expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', { timeout: 60_000 }, async (signal) => {
    process.kill(terminal.foreground(), signal);
    await terminal.shows(/status=\d+/);
    expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
    // Typed characters are echoed again: the terminal is out of raw mode.
    terminal.keys('echo $((6 * 7))', 'Enter');
    await terminal.shows(/\$ echo \$\(\(6 \* 7\)\)\s+42|# echo \$\(\(6 \* 7\)\)\s+42/);
  });
});

describe('a terminal that was somebody else’s, or takes nothing', () => {
  let terminal: Terminal;
  beforeEach(async () => {
    terminal = new Terminal(command, 80, 24);
    await terminal.shows(/recording ended/);
  });
  afterEach(() => terminal.close());

  test('stopped and continued, it is drawn anew and hears keys', { timeout: 60_000 }, async () => {
    const before = terminal.painted().join('\n');
    process.kill(terminal.foreground(), 'SIGTSTP');
    await terminal.shows(/Stopped/);
    // dash leaves it as it was: no Enter ends a line.
    terminal.keys('fg', 'C-j');
    const isBack = () => terminal.painted().join('\n') === before;
    for (let i = 0; i < 200 && !isBack(); i++) await pause(50);
    expect(terminal.painted().join('\n')).toBe(before);
    terminal.keys('q');
    for (let i = 0; i < 200 && terminal.modes().alternate; i++) await pause(50);
    expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
  });

  test('a second signal does not wait for it', { timeout: 60_000 }, async () => {
    const pid = terminal.foreground();
    const isThere = () => existsSync(`/proc/${pid}`);
    terminal.freeze();
    try {
      // Each is answered with a whole screen: more than what is held for a terminal.
      for (let i = 0; i < 500; i++) {
        process.kill(pid, 'SIGCONT');
        await pause(2);
      }
      process.kill(pid, 'SIGTERM');
      for (let i = 0; isThere() && i < 100; i++) {
        await pause(50);
        if (isThere()) process.kill(pid, 'SIGHUP');
      }
      expect(isThere()).toBe(false);
    } finally {
      terminal.thaw();
    }
  });
});
