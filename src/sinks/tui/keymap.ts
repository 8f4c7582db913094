// SPDX-License-Identifier: Apache-2.0

import { layoutFor } from './layout.ts';
import type { Control } from './model.ts';
import { nextSort, visible } from './order.ts';
import type { State } from './state.ts';
import { dropLast } from './text.ts';

export type Motion = 'up' | 'down' | 'pageUp' | 'pageDown' | 'home' | 'end';

/** A key, whatever bytes the terminal sends for it. */
export type Key =
  | { name: Motion | 'enter' | 'escape' | 'backspace' | 'clearLine' | 'clearWord' | 'interrupt' }
  | { name: 'left' | 'right' }
  | { name: 'char'; char: string };

const LONGEST_FILTER = 200;

const AS_MOTION: Record<string, Motion> = {
  j: 'down',
  k: 'up',
  g: 'home',
  G: 'end',
  ' ': 'pageDown',
  b: 'pageUp',
};

const isMotion = (name: string): name is Motion =>
  /^(up|down|pageUp|pageDown|home|end)$/.test(name);

function moved(from: number, motion: Motion, page: number): number {
  const by: Record<Motion, number> = {
    up: -1,
    down: 1,
    pageUp: -page,
    pageDown: page,
    home: Number.NEGATIVE_INFINITY,
    end: Number.POSITIVE_INFINITY,
  };
  return from + by[motion];
}

function move(state: State, motion: Motion): State {
  const { page, textHeight } = layoutFor(state.size);
  const end = 1e9;
  const bounded = (n: number) => Math.max(0, Math.min(end, n));
  const textPage = Math.max(1, textHeight - 1);
  if (state.help !== null) return { ...state, help: bounded(moved(state.help, motion, textPage)) };
  if (state.open !== null)
    return { ...state, scroll: bounded(moved(state.scroll, motion, textPage)) };
  if (motion === 'home') return { ...state, index: 0, selected: null };
  const views = visible(state.model.findings, state);
  const index = Math.min(bounded(moved(state.index, motion, page)), Math.max(0, views.length - 1));
  return { ...state, index, selected: views[index]?.finding.id ?? state.selected };
}

function typed(state: State, key: Key): State {
  switch (key.name) {
    case 'enter':
      return { ...state, typing: false };
    case 'escape':
      return { ...state, typing: false, filter: '' };
    case 'backspace':
      return state.filter === ''
        ? { ...state, typing: false }
        : { ...state, filter: dropLast(state.filter) };
    case 'clearLine':
      return { ...state, filter: '' };
    case 'clearWord':
      return { ...state, filter: state.filter.replace(/\S*\s*$/, '') };
    case 'char': {
      const visibleChar = key.char.replace(/\p{Cc}/gu, '');
      return { ...state, filter: (state.filter + visibleChar).slice(0, LONGEST_FILTER) };
    }
    default:
      return isMotion(key.name) ? move(state, key.name) : state;
  }
}

function back(state: State): State {
  if (state.help !== null) return { ...state, help: null };
  if (state.open !== null) return { ...state, open: null, scroll: 0 };
  return { ...state, filter: '' };
}

function opened(state: State): State {
  const view = visible(state.model.findings, state)[state.index];
  return view === undefined || state.open !== null
    ? state
    : { ...state, open: view, selected: view.finding.id, scroll: 0 };
}

function letter(state: State, char: string): State {
  const motion = AS_MOTION[char];
  if (motion !== undefined) return move(state, motion);
  if (char === 'q') return { ...state, outcome: 'quit' };
  if (char === '?') return { ...state, help: state.help === null ? 0 : null };
  if (state.help !== null) return state;
  if (char === 'p') return { ...state, paused: !state.paused };
  if (state.open !== null) return state;
  if (char === '/') return { ...state, typing: true };
  if (char === 's') return { ...state, sort: nextSort(state.sort) };
  if (char === 'a') return { ...state, benign: !state.benign };
  return state;
}

const CONTROLS: Record<string, Control> = {
  left: 'back',
  right: 'forward',
  p: 'pause',
  '<': 'slower',
  '>': 'faster',
};

/** What a key does to the recording that is shown, null where it is for the screen. */
export function controlOf(state: State, key: Key): Control | null {
  if (!state.model.playback || state.typing || state.help !== null) return null;
  return CONTROLS[key.name === 'char' ? key.char : key.name] ?? null;
}

/** What a key does to the screen. */
export function press(state: State, key: Key): State {
  if (key.name === 'interrupt') return { ...state, outcome: 'interrupt' };
  if (state.typing) return typed(state, key);
  if (key.name === 'char') return letter(state, key.char);
  if (key.name === 'escape') return back(state);
  if (key.name === 'enter') return state.help === null ? opened(state) : { ...state, help: null };
  return isMotion(key.name) ? move(state, key.name) : state;
}
