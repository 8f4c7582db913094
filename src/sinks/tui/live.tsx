// SPDX-License-Identifier: Apache-2.0

import { useApp, useInput, usePaste, useWindowSize } from 'ink';
import { useCallback, useEffect, useReducer, useRef } from 'react';
import type { DrawnRows } from './drawn.ts';
import { rowsOf } from './frame.ts';
import type { Glyphs } from './glyphs.ts';
import { controlOf } from './keymap.ts';
import { keysOf } from './keys.ts';
import type { ScreenSource } from './model.ts';
import { reduce, start } from './reduce.ts';
import type { State } from './state.ts';

/** How often the screen asks for data by itself, and how often at most when keys ask too. */
const PULL_MS = 200;
const LEAST_PULL_MS = 100;

export interface LiveProps {
  source: ScreenSource;
  color: boolean;
  glyphs: Glyphs;
  drawn: DrawnRows;
}

/** The screen between a source, a clock and a keyboard: all that is not a pure function is here. */
export function Live({ source, color, glyphs, drawn }: LiveProps) {
  const { exit } = useApp();
  const { columns, rows } = useWindowSize();
  const [state, show] = useReducer(
    (_: State, next: State) => next,
    null,
    (): State => start(source.read(), { columns, rows }, glyphs),
  );
  // Keys may come faster than the screen is drawn: each is for what the one before it led to.
  const now = useRef(state);
  const dispatch = useCallback((action: Parameters<typeof reduce>[1]) => {
    now.current = reduce(now.current, action);
    show(now.current);
  }, []);
  const pulledAt = useRef(0);
  const paused = useRef(false);
  paused.current = state.paused;

  const pull = useCallback(
    (least: number) => {
      const at = Date.now();
      if (paused.current || Math.abs(at - pulledAt.current) < least) return;
      pulledAt.current = at;
      try {
        const model = source.read();
        if (model !== now.current.model) dispatch({ type: 'model', model });
      } catch (error) {
        exit(error instanceof Error ? error : new Error(String(error)));
      }
    },
    [source, exit, dispatch],
  );

  useEffect(() => {
    const timer = setInterval(() => pull(0), PULL_MS);
    return () => clearInterval(timer);
  }, [pull]);

  const shown = rowsOf(state, color);
  useEffect(() => drawn.draw(shown));
  useEffect(() => () => drawn.end(), [drawn]);

  useEffect(() => {
    drawn.forget();
    dispatch({ type: 'size', size: { columns, rows } });
  }, [columns, rows, drawn, dispatch]);

  useEffect(() => {
    if (state.outcome !== null) exit({ reason: state.outcome });
  }, [state.outcome, exit]);

  useInput((input, key) => {
    if (key.ctrl && input === 'l') drawn.again();
    for (const pressed of keysOf(input, key)) {
      const control = controlOf(now.current, pressed);
      if (control) source.control?.(control);
      else dispatch({ type: 'key', key: pressed });
    }
    pull(LEAST_PULL_MS);
  });
  // Pasted text is text: it fills the filter, and presses no keys.
  usePaste((text) => dispatch({ type: 'paste', text }));

  return null;
}
