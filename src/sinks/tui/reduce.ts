// SPDX-License-Identifier: Apache-2.0

import { detailLines } from './detail.ts';
import type { Glyphs } from './glyphs.ts';
import { helpLines } from './help.ts';
import { type Key, press } from './keymap.ts';
import { layoutFor, type Size } from './layout.ts';
import type { ScreenModel } from './model.ts';
import { visible } from './order.ts';
import type { State } from './state.ts';

export type Action =
  | { type: 'key'; key: Key }
  | { type: 'paste'; text: string }
  | { type: 'model'; model: ScreenModel }
  | { type: 'size'; size: Size };

export function start(model: ScreenModel, size: Size, glyphs: Glyphs): State {
  return settle({
    model,
    size,
    glyphs,
    sort: 'severity',
    filter: '',
    typing: false,
    paused: false,
    benign: false,
    selected: null,
    index: 0,
    top: 0,
    open: null,
    scroll: 0,
    help: null,
    outcome: null,
  });
}

/** Lines of the open finding, or of the help. */
export function textIn(state: State) {
  if (state.help !== null) return helpLines(state.model, state.size.columns);
  return state.open === null
    ? []
    : detailLines(state.open, state.model.now_ns, state.size.columns, state.glyphs);
}

const clamp = (n: number, low: number, high: number) =>
  Math.max(low, Math.min(n, Math.max(low, high)));

/** Brings selection and scrolling into what there is, after any change of findings, size or keys. */
function settle(state: State): State {
  const layout = layoutFor(state.size);
  const views = visible(state.model.findings, state);
  const found = views.findIndex((view) => view.finding.id === state.selected);
  const near = state.selected === null ? 0 : clamp(state.index, 0, views.length - 1);
  const index = found >= 0 ? found : near;
  const selected = state.selected === null ? null : (views[index]?.finding.id ?? state.selected);
  const top = clamp(
    clamp(state.top, index - layout.page + 1, index),
    0,
    views.length - layout.page,
  );
  const open =
    state.open &&
    (state.model.findings.find((view) => view.finding.id === state.open?.finding.id) ?? state.open);
  const settled = { ...state, index, top, open, selected };
  if (open === null && state.help === null) return settled;
  const last = textIn(settled).length - layout.textHeight;
  if (state.help !== null) return { ...settled, help: clamp(state.help, 0, last) };
  return { ...settled, scroll: clamp(state.scroll, 0, last) };
}

function apply(state: State, action: Action): State {
  switch (action.type) {
    case 'key':
      return press(state, action.key);
    case 'paste':
      return state.typing
        ? [...action.text].reduce((typed, char) => press(typed, { name: 'char', char }), state)
        : state;
    case 'model':
      return state.paused ? state : { ...state, model: action.model };
    case 'size':
      return { ...state, size: action.size };
  }
}

/** The screen after something happened: a key, new data, another size. No clock, no terminal. */
export function reduce(state: State, action: Action): State {
  return settle(apply(state, action));
}
