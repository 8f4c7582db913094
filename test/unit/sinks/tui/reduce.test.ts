// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { UNICODE } from '../../../../src/sinks/tui/glyphs.ts';
import type { Key } from '../../../../src/sinks/tui/keymap.ts';
import type { ScreenModel } from '../../../../src/sinks/tui/model.ts';
import { visible } from '../../../../src/sinks/tui/order.ts';
import { reduce, start, textIn } from '../../../../src/sinks/tui/reduce.ts';
import type { State } from '../../../../src/sinks/tui/state.ts';
import { many, model, view } from './models.ts';

const SIZE = { columns: 80, rows: 24 };
const NAMED = new Set(['up', 'down', 'pageUp', 'pageDown', 'home', 'end', 'enter', 'escape']);
const EDITING = new Set(['backspace', 'clearLine', 'clearWord', 'interrupt']);

/** `press(state, 'down', 'enter', '/', 'my')`: names of keys, anything else is typed. */
function press(state: State, ...keys: string[]): State {
  const all = keys.flatMap((key): Key[] =>
    NAMED.has(key) || EDITING.has(key)
      ? [{ name: key } as Key]
      : [...key].map((char) => ({ name: 'char', char })),
  );
  return all.reduce((pressed, key) => reduce(pressed, { type: 'key', key }), state);
}

const show = (over: Partial<ScreenModel> = {}, size = SIZE) => start(model(over), size, UNICODE);
const update = (state: State, over: Partial<ScreenModel>) =>
  reduce(state, { type: 'model', model: model(over) });
const selectedId = (state: State) => visible(state.model.findings, state)[state.index]?.finding.id;

describe('selecting', () => {
  test('arrows and j k, not beyond the ends', () => {
    const state = show({ findings: many(5) });
    expect(press(state, 'down', 'j').index).toBe(2);
    expect(press(state, 'down', 'j', 'up', 'k', 'k').index).toBe(0);
    expect(press(state, 'jjjjjjjjj').index).toBe(4);
  });

  test('pages, first and last; the selection stays in sight', () => {
    const state = show({ findings: many(100) });
    const paged = press(state, 'pageDown');
    expect([paged.index, paged.top]).toEqual([9, 1]);
    const last = press(state, 'G');
    expect([last.index, last.top]).toEqual([99, 91]);
    expect(press(last, 'pageUp').index).toBe(90);
    expect(press(last, 'g')).toMatchObject({ index: 0, top: 0 });
    expect(press(state, 'end', 'home')).toMatchObject({ index: 0, top: 0, selected: null });
  });

  test('what was selected by hand stays selected when the order changes', () => {
    const state = press(show({ findings: many(20) }), 'down', 'down');
    expect(selectedId(state)).toBe('#2');
    const grown = many(20).map((v) =>
      v.finding.id === '#15' ? view({ ...v.finding, count: 1e6 }) : v,
    );
    const after = update(state, { findings: grown });
    expect(selectedId(after)).toBe('#2');
    expect(after.index).toBe(3);
    expect(selectedId(press(after, 's'))).toBe('#2');
  });

  test('before anything is selected the first is, whichever that is', () => {
    const state = update(show({ findings: many(3) }), {
      findings: [...many(3), view({ id: 'new', count: 1e6 })],
    });
    expect(selectedId(state)).toBe('new');
    expect(press(state, 'down', 'g').selected).toBeNull();
  });

  test('when the selected finding goes, its neighbour is selected', () => {
    const state = press(show({ findings: many(5) }), 'G');
    const fewer = update(state, { findings: many(5).slice(0, 3) });
    expect(selectedId(fewer)).toBe('#2');
    expect(update(fewer, { findings: [] })).toMatchObject({ index: 0, top: 0 });
  });

  test('no key does harm where there is nothing', () => {
    const state = show({ findings: [] });
    expect(press(state, 'down', 'G', 'pageUp', 'enter', 'sapa')).toMatchObject({
      open: null,
      index: 0,
    });
  });
});

describe('a finding', () => {
  test('Enter opens it, Esc closes it and comes back to the same place', () => {
    const open = press(show({ findings: many(50) }), 'G', 'enter');
    expect(open.open?.finding.id).toBe('#49');
    expect(press(open, 'escape')).toMatchObject({ open: null, index: 49, scroll: 0 });
  });

  test('scrolls to its last line and no further', () => {
    const flows = Array.from({ length: 50 }, (_, i) => ({ text: `f${i}`, count: 1, last_ns: 1 }));
    const state = press(show({ findings: [view({}, { flows })] }), 'enter');
    const end = press(state, 'G');
    expect(end.scroll).toBe(textIn(end).length - 20);
    expect(press(end, 'down').scroll).toBe(end.scroll);
    expect(press(state, ' ').scroll).toBe(19);
    expect(press(state, 'jjk').scroll).toBe(1);
  });

  test('follows its counts, and stays when the model forgets it', () => {
    const state = press(show({ findings: [view()] }), 'enter');
    expect(update(state, { findings: [view({ count: 77 })] }).open?.finding.count).toBe(77);
    expect(update(state, { findings: [] }).open?.finding.count).toBe(2);
  });

  test('s, a and / do nothing there', () => {
    const open = press(show(), 'enter');
    expect(press(open, 's', 'a', '/')).toMatchObject({
      sort: 'severity',
      benign: false,
      typing: false,
    });
  });
});

describe('the filter', () => {
  test('narrows while it is typed; letters press no keys', () => {
    const state = press(show(), '/', 'sql q');
    expect(state).toMatchObject({ typing: true, filter: 'sql q', outcome: null });
    expect(press(show(), '/', 'mysql').index).toBe(0);
    expect(selectedId(press(show(), '/', 'paws'))).toBe('paws-passive 172.16.0.13:3306');
  });

  test('Enter keeps it, Esc clears it, then and later', () => {
    const kept = press(show(), '/', 'paws', 'enter');
    expect(kept).toMatchObject({ typing: false, filter: 'paws', open: null });
    expect(press(kept, 'escape').filter).toBe('');
    expect(press(show(), '/', 'paws', 'escape')).toMatchObject({ typing: false, filter: '' });
    expect(press(kept, '/', '2').filter).toBe('paws2');
  });

  test('can be corrected', () => {
    expect(press(show(), '/', 'añ', 'backspace').filter).toBe('a');
    expect(press(show(), '/', 'one two', 'clearWord').filter).toBe('one ');
    expect(press(show(), '/', 'one two', 'clearLine').filter).toBe('');
    expect(press(show(), '/', 'backspace').typing).toBe(false);
  });

  test('arrows select meanwhile', () => {
    expect(press(show({ findings: many(5) }), '/', '1', 'down').typing).toBe(true);
    expect(press(show({ findings: many(5) }), '/', 'curl', 'down').index).toBe(1);
  });

  test('takes pasted text, as text and within bounds', () => {
    const typing = press(show(), '/');
    const pasted = reduce(typing, { type: 'paste', text: '10.0.0.5\r\n\x1b[2Jq' });
    expect(pasted).toMatchObject({ filter: '10.0.0.5[2Jq', typing: true, outcome: null });
    expect(reduce(typing, { type: 'paste', text: 'x'.repeat(9999) }).filter).toHaveLength(200);
    expect(reduce(show(), { type: 'paste', text: 'qqq' }).outcome).toBeNull();
  });
});

describe('pausing', () => {
  test('the view stands still, keys go on working', () => {
    const paused = update(press(show(), 'p'), { events: 9e9, findings: [] });
    expect(paused.model.events).toBe(2381);
    expect(press(paused, 'down').index).toBe(1);
    expect(update(press(paused, 'p'), { events: 9e9 }).model.events).toBe(9e9);
    expect(press(show(), 'enter', 'p').paused).toBe(true);
  });
});

describe('help and the end', () => {
  test('? opens and closes, Esc and Enter close; what was open stays open', () => {
    const help = press(show(), 'enter', '?');
    expect(help.help).toBe(0);
    for (const key of ['?', 'escape', 'enter']) {
      expect(press(help, key)).toMatchObject({ help: null });
      expect(press(help, key).open).not.toBeNull();
    }
  });

  test('help scrolls, and other keys do nothing in it', () => {
    const help = press(show(), '?', 'j');
    expect(help.help).toBe(1);
    expect(press(help, 'G').help).toBe(textIn(help).length - 20);
    expect(press(help, 'p', 's', 'a', '/')).toMatchObject({ paused: false, typing: false });
  });

  test('q quits from everywhere but the filter; Ctrl-C from there too', () => {
    expect(press(show(), 'q').outcome).toBe('quit');
    expect(press(show(), 'enter', 'q').outcome).toBe('quit');
    expect(press(show(), '?', 'q').outcome).toBe('quit');
    expect(press(show(), '/', 'q').outcome).toBeNull();
    expect(press(show(), '/', 'interrupt').outcome).toBe('interrupt');
  });

  test('a benign finding is selectable once it is shown', () => {
    expect(selectedId(press(show(), 'a', 'G'))).toBe('benign 10.0.0.5:22');
  });
});

describe('another size', () => {
  const resize = (state: State, columns: number, rows: number) =>
    reduce(state, { type: 'size', size: { columns, rows } });

  test('keeps the selection in sight', () => {
    const state = press(show({ findings: many(100) }, { columns: 200, rows: 50 }), 'pageDown');
    expect(state.index).toBe(22);
    const small = resize(state, 80, 24);
    expect([small.index, small.top]).toEqual([22, 14]);
  });

  test('keeps scrolling within the text', () => {
    const end = press(show({}, { columns: 40, rows: 12 }), 'enter', 'G');
    expect(resize(end, 80, 60).scroll).toBe(0);
  });

  test.each([
    [0, 0],
    [1, 1],
    [Number.NaN, -5],
    [1e9, 1e9],
  ])('survives %d x %d', (columns, rows) => {
    expect(() => resize(press(show(), 'enter'), columns, rows)).not.toThrow();
  });
});
