// SPDX-License-Identifier: Apache-2.0

import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import type { Finding } from '../../../../src/diagnose/finding.ts';
import { rowsOf } from '../../../../src/sinks/tui/frame.ts';
import { ASCII, type Glyphs, UNICODE } from '../../../../src/sinks/tui/glyphs.ts';
import type { Key } from '../../../../src/sinks/tui/keymap.ts';
import type { ScreenModel } from '../../../../src/sinks/tui/model.ts';
import { reduce, start } from '../../../../src/sinks/tui/reduce.ts';
import type { State } from '../../../../src/sinks/tui/state.ts';
import { widthOf } from '../../../../src/sinks/tui/text.ts';
import { many, model, NOW_NS, view } from './models.ts';

// Colours on whatever this test writes to: where there are none, it is because nobody asked for them.
vi.hoisted(() => {
  process.env.FORCE_COLOR = '1';
});

vi.setConfig({ testTimeout: 30_000 });

interface Shot {
  columns?: number;
  rows?: number;
  keys?: string[];
  color?: boolean;
  glyphs?: Glyphs;
}

const NAMED = /^(up|down|end|home|pageDown|enter|escape)$/;

function shoot(over: Partial<ScreenModel> = {}, shot: Shot = {}): string {
  const { columns = 80, rows = 24, keys = [], color = false, glyphs = UNICODE } = shot;
  const pressed = keys.flatMap((key): Key[] =>
    NAMED.test(key) ? [{ name: key } as Key] : [...key].map((char) => ({ name: 'char', char })),
  );
  const state = pressed.reduce<State>(
    (before, key) => reduce(before, { type: 'key', key }),
    start(model(over), { columns, rows }, glyphs),
  );
  return rowsOf(state, color)
    .map((row) => row.trimEnd())
    .join('\n');
}

const SIZES = [
  [80, 24],
  [200, 50],
  [160, 24],
  [120, 30],
  [60, 20],
  [40, 24],
  [40, 10],
  [39, 9],
  [10, 3],
  [1, 1],
] as const;
const PLACES: Record<string, string[]> = {
  table: [],
  benign: ['a'],
  finding: ['enter'],
  'end of a finding': ['enter', 'end'],
  help: ['?'],
  'end of help': ['?', 'end'],
  filter: ['/mysql'],
  'no match': ['/nothing like it'],
  paused: ['p'],
};

describe.each(SIZES)('%i x %i', (columns, rows) => {
  test.each(Object.entries(PLACES))('%s fits', (_, keys) => {
    for (const glyphs of [UNICODE, ASCII]) {
      const lines = shoot({}, { columns, rows, keys, glyphs }).split('\n');
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
    }
  });

  test('hostile and long names neither break a row nor reach the terminal', () => {
    const evil = '\x1b[2J\x07\u202egpj\n\r\u200b\x9b31m'.repeat(20);
    const wide = 'デーモン👩‍💻'.repeat(50);
    const finding: Partial<Finding> = {
      cause: wide,
      title: evil,
      summary: `${wide} ${evil} ${'x'.repeat(5000)}`,
      process: { pid: -1, comm: evil, container: wide },
      flow: { ...view().finding.flow, saddr: evil, daddr: wide },
      evidence: { [evil]: evil, [wide]: [{ a: wide }, evil] },
      advice: [`${evil} \`${wide}\``, `\`${evil} x\``],
    };
    const more = {
      flows: [{ text: evil, count: 1e12, last_ns: 0 }],
      events: [{ seq: 1, time_ns: 0, text: `${wide}${evil}` }],
      history: [1e300],
      rate_per_s: 1e18,
    };
    const hostile = {
      host: evil,
      kernel: wide,
      recording: evil,
      target: wide,
      not_observable: [evil, wide],
      findings: [view(finding, more), view({ ...finding, id: 'l', subject: 'listener' }, more)],
    };
    for (const keys of [[], ['enter'], ['enter', 'end'], ['?', 'end'], ['/デ\u202e'], ['/zzz']]) {
      const shot = shoot(hostile, { columns, rows, keys });
      const lines = shot.split('\n');
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
      expect(shot.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u);
    }
  });

  test('a recording is played: how fast, how far, and by which keys', () => {
    const playback = { speed: 4, paused: false, played: 0.379, damages: 0 };
    const over = { recording: 'friday.tcpwhy', playback };
    for (const keys of [[], ['enter'], ['?'], ['?', 'end']]) {
      for (const glyphs of [UNICODE, ASCII]) {
        const lines = shoot(over, { columns, rows, keys, glyphs }).split('\n');
        expect(lines.length).toBeLessThanOrEqual(rows);
        expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
      }
    }
    if (columns < 40 || rows < 10) return;
    expect(shoot(over, { columns, rows })).toContain('REPLAY ×4 37%');
    const still = { ...over, playback: { ...playback, paused: true } };
    expect(shoot(still, { columns, rows })).toContain('PAUSED');
    if (columns >= 80) expect(shoot(over, { columns, rows })).toMatch(/p pause {2}←→ 10 s/);
  });

  test('a recording that cannot be written is told in the last row', () => {
    const trouble = '/var/log/x.tcpwhy: ENOSPC: no space left on device, write';
    const last = shoot({ trouble }, { columns, rows }).split('\n').at(-1) ?? '';
    expect(widthOf(last)).toBeLessThanOrEqual(columns);
    if (columns >= 40 && rows >= 10) expect(last).toMatch(/not recorded: \/var\/log.* q quit$/);
  });

  test('numbers that are none do no harm', () => {
    const odd = view(
      { count: Number.NaN, first_ns: Number.NaN, last_ns: Number.POSITIVE_INFINITY, evidence: {} },
      { rate_per_s: Number.NaN, history: [], flows: [], events: [] },
    );
    for (const keys of [[], ['enter']]) {
      expect(() =>
        shoot({ now_ns: 0, events_per_s: Number.NaN, findings: [odd] }, { columns, rows, keys }),
      ).not.toThrow();
    }
  });
});

describe('colour', () => {
  const ESCAPE = '\x1b';

  test.each(Object.entries(PLACES))('%s: none is asked for, none is written', (_, keys) => {
    expect(shoot({ lost: 5, ended: true }, { keys })).not.toContain(ESCAPE);
    expect(shoot({ lost: 5 }, { keys, columns: 200, rows: 50 })).not.toContain(ESCAPE);
  });

  test.each(Object.entries(PLACES))('%s: says the same without it', (_, keys) => {
    const trimmed = (shot: string) => shot.split('\n').map((line) => line.trimEnd());
    const colored = shoot({ lost: 5 }, { keys, color: true });
    expect(colored).toContain(ESCAPE);
    expect(trimmed(stripVTControlCharacters(colored))).toEqual(
      trimmed(shoot({ lost: 5 }, { keys })),
    );
  });

  test('severity, selection and loss stand out with it', () => {
    const colored = shoot({ lost: 5 }, { color: true }).split('\n');
    const row = (text: string) => colored.find((line) => line.includes(text));
    expect(row('accept-queue-full')).toContain(`${ESCAPE}[7m`);
    expect(row('synack-wrong-source')).toContain(`${ESCAPE}[31m`);
    expect(row('paws-passive')).toContain(`${ESCAPE}[33m`);
    expect(row('LOST 5')).toContain(`${ESCAPE}[41m`);
  });
});

describe('80 x 24', () => {
  test('the table', () => {
    expect(shoot()).toMatchInlineSnapshot(`
      "tcpwhy · db-3 · 6.12.9-amd64 · hooks                          18:56:41 UTC  LIVE
      1204 events/s · 0 lost · 3 unexplained · 412 benign (a) · 2 not observable (?)
      ── 3 findings  by severity ─────────────────────────────────────────────────────
          CAUSE                   COUNT   RATE  30 s     SEEN  WHERE
      > E accept-queue-full        1204   48/s  ▁▂▃▄▅▆▇█   0s  10.112.61.163:3269
          mysqld's accept queue on 10.112.61.163:3269 is full (129 of 128): SYNs are
          dropped
        E synack-wrong-source         2  0.9/s  █·▄·▄▄·▄   1s  10.4.26.234:80
          curl in frontend-7c9d: 10.4.26.234:80 was dialled, 10.4.26.11:80 answers:
          DNAT without reverse NAT
        W paws-passive            3.63M  812/s  █·▄·▄▄·▄   1s  172.16.0.13:3306
          SYNs of 100.64.0.1 are older than its last stamp: tcp_tw_recycle=1 behind
          NAT










       ↑↓ select  Enter open  / filter  s sort  p pause  a benign  ? help  q quit"
    `);
  });

  test('a finding', () => {
    expect(shoot({}, { keys: ['enter'] })).toMatchInlineSnapshot(`
      "tcpwhy · db-3 · 6.12.9-amd64 · hooks                          18:56:41 UTC  LIVE
      1204 events/s · 0 lost · 3 unexplained · 412 benign (a) · 2 not observable (?)
      ── finding 1 of 3 ──────────────────────────────────────────────── 1-20 of 28 ──
      ERROR  accept-queue-full  Accept queue full
      mysqld's accept queue on 10.112.61.163:3269 is full (129 of 128): SYNs are
      dropped

        listener   10.112.61.163:3269  (netns 4026531840)
        process    mysqld  (pid 4242)
        seen       1204 times, 48/s; first 18:55:41, last 18:56:41 UTC, 0s ago
        last 30 s  ·▁▁▁▂▂▂▂▃▃▃▄▄▄▄▅▅▅▅▆▆▆▇▇▇▇████
        basis      direct: the kernel was seen deciding it

      WHAT TO DO
        1. Raise both limits.
           sysctl -w net.core.somaxconn=4096
        2. See who is slow to accept:
           ss -ltnp "sport = :3269"

      EVIDENCE
        accept queue       129 of 128
        oldest waiting     3.21 s
        mib delta
       ↑↓ scroll  PgDn page  Esc back  p pause  ? help  q quit"
    `);
  });

  test('nothing found yet', () => {
    expect(shoot({ findings: [], target: 'port 3306', benign: 0 })).toMatchInlineSnapshot(`
      "tcpwhy · db-3 · 6.12.9-amd64 · hooks · only port 3306         18:56:41 UTC  LIVE
      1204 events/s · 0 lost · 3 unexplained · 0 benign (a) · 2 not observable (?)
      ── 0 findings ──────────────────────────────────────────────────────────────────





          Watching TCP connections of port 3306 on db-3.

          2381 events, no failure seen so far.

          2 causes cannot be seen on this host: ? says which.










       ↑↓ select  Enter open  / filter  s sort  p pause  a benign  ? help  q quit"
    `);
  });

  test('another finding is selected: a marker and its place', () => {
    const shot = shoot({}, { keys: ['down', 'down'] });
    expect(shot).toMatch(/^> W paws-passive /m);
    expect(shot.match(/^>/gm)).toHaveLength(1);
  });

  test('500 findings: as many as fit, and which ones', () => {
    const shot = shoot({ findings: many(500) }, { keys: ['end'] });
    expect(shot).toContain('492-500 of 500');
    expect(shot.match(/synack-wrong-source/g)).toHaveLength(9);
    expect(shot).toMatch(/^> E/m);
  });

  test('what is shown, by what, and what is not', () => {
    expect(shoot({}, { keys: ['s', '/mysql'] })).toMatch(
      /1 of 3 findings {2}filter "mysql" {2}by count/,
    );
    expect(shoot({}, { keys: ['/mysql'] })).toMatch(/filter: mysql_ .*Enter keep {2}Esc clear/);
    expect(shoot({}, { keys: ['a'] })).toContain('with benign');
    expect(shoot()).not.toContain('sshd');
    expect(shoot({}, { keys: ['/zzz'] })).toMatch(
      /No finding matches "zzz"\.[\s\S]*3 findings without/,
    );
  });

  test('lost records, and what cannot be seen, are said everywhere', () => {
    for (const keys of Object.values(PLACES)) {
      const shot = shoot({ lost: 132 }, { keys });
      expect(shot).toContain('LOST 132');
      expect(shot).toContain('2 not observable (?)');
    }
    const help = shoot({ lost: 132 }, { keys: ['?', 'end'] });
    expect(help).toContain('132 records got lost');
    expect(help).toContain('synack-unsent  tsecr-rejected');
  });

  test('paused, ended, both', () => {
    expect(shoot()).toContain('LIVE');
    expect(shoot({}, { keys: ['p'] })).toContain('PAUSED');
    const over = { recording: 'friday.tcpwhy', ended: true };
    for (const keys of [[], ['enter'], ['?']]) {
      expect(shoot(over, { keys })).toContain('recording ended, q to quit');
    }
    expect(shoot(over)).toMatch(/db-3 · friday\.tcpwhy .* 2026-05-09 18:56:41 UTC {3}ENDED/);
    expect(shoot(over, { keys: ['p'] })).toMatch(/PAUSED.*ENDED/);
    expect(shoot({ ...over, findings: [] })).toContain(
      'friday.tcpwhy has ended: 2381 events, no failure',
    );
  });

  test('nothing but benign findings is no failure, and said', () => {
    const shot = shoot({ findings: [view({}, { benign: true })] });
    expect(shot).toContain('2381 events, no failure seen so far.');
    expect(shot).toContain('1 benign finding hidden');
  });

  test('no failure seen is not said without doubt where records were lost', () => {
    expect(shoot({ findings: [], lost: 3 })).toContain('3 records got lost on the way');
  });

  test('evidence is aligned, advice can be copied', () => {
    const shot = shoot({}, { keys: ['enter', 'end'] });
    expect(shot).toMatch(/^ {2}accept queue {7}129 of 128$/m);
    expect(shot).toMatch(/^ {2}oldest waiting {5}3\.21 s$/m);
    expect(shot).toMatch(/^ {4}ListenOverflows {2}1204$/m);
    expect(shoot({}, { keys: ['enter'] })).toMatch(/^ +sysctl -w net\.core\.somaxconn=4096$/m);
  });

  test('an open finding that the model no longer has', () => {
    const state = reduce(start(model(), { columns: 80, rows: 24 }, UNICODE), {
      type: 'key',
      key: { name: 'enter' },
    });
    const after = reduce(state, { type: 'model', model: model({ findings: [] }) });
    const shot = rowsOf(after, false).join('\n');
    expect(shot).toContain('no longer kept');
    expect(shot).toContain('accept-queue-full');
  });
});

describe('200 x 50', () => {
  const shot = shoot({}, { columns: 200, rows: 50, keys: ['down'] });

  test('the selected finding is shown beside the table', () => {
    expect(shot).toMatch(/> E synack-wrong-source/);
    expect(shot).toMatch(/│ ERROR {2}synack-wrong-source/);
    expect(shot).toContain('RECENT EVENTS');
  });

  test('whys are shown in full', () => {
    expect(shot).toContain(
      "mysqld's accept queue on 10.112.61.163:3269 is full (129 of 128): SYNs are dropped",
    );
  });

  test('Enter gives it the whole width, for copying', () => {
    const open = shoot({}, { columns: 200, rows: 50, keys: ['enter'] });
    expect(open).not.toContain('│');
    expect(open).toMatch(/^ERROR {2}accept-queue-full/m);
  });
});

describe('a small terminal', () => {
  test('shows what it can and says what it needs', () => {
    const shot = shoot({}, { columns: 40, rows: 12 });
    expect(shot).toContain('needs at least 80x24');
    expect(shot).toMatch(/^> E accept-queue-full +1204 +0s$/m);
  });

  test('below that, only what it needs', () => {
    expect(shoot({}, { columns: 30, rows: 8 })).toMatch(/needs at least\s+80x24; this is 30x8/);
  });

  test('times of now and of nothing', () => {
    expect(shoot({ now_ns: 0, findings: [] })).toContain('--:--:-- UTC');
    expect(shoot({ now_ns: NOW_NS })).toContain('18:56:41 UTC');
  });
});
