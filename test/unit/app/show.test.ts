// SPDX-License-Identifier: Apache-2.0

import { Console } from 'node:console';
import { expect, test } from 'vitest';
import { show } from '../../../src/app/show.ts';
import { model } from '../sinks/tui/models.ts';
import { AS_FOUND, IN_USE, Terminal } from '../sinks/tui/terminal.ts';

// Ink redirects the console through a class that vitest's console lacks.
Object.assign(console, { Console });

test('a source that fails ends the screen, and is thrown when the terminal is as it was', async () => {
  const terminal = new Terminal();
  const { stdin, stdout } = terminal;
  const fed = Promise.withResolvers<void>();
  const shown = show({ read: model }, { color: false, stdin, stdout }, fed.promise);
  shown.catch(() => {});
  await expect.poll(() => terminal.state).toEqual(IN_USE);
  fed.reject(new Error('the kernel is gone'));
  await expect(shown).rejects.toThrow('the kernel is gone');
  expect(terminal.state).toEqual(AS_FOUND);
});

test('one that has no more to tell does not', async () => {
  const terminal = new Terminal();
  const { stdin, stdout } = terminal;
  const shown = show({ read: model }, { color: false, stdin, stdout }, Promise.resolve());
  await expect.poll(() => terminal.state).toEqual(IN_USE);
  terminal.type('q');
  await shown;
  expect(terminal.state).toEqual(AS_FOUND);
});
