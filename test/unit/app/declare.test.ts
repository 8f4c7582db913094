// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { many, negated, one, required, toggle, usually } from '../../../src/app/declare.ts';
import * as COMMANDS from '../../../src/app/flags.ts';
import { given } from './given.ts';

const FLAGS = {
  loud: toggle('louder', { short: 'l' }),
  color: negated('without'),
  maxSize: one('<size>', 'most', Number),
  name: many('<name>', 'some', String),
  keep: usually('5', '<files>', 'so many', Number, { needs: ['maxSize', 'name'] }),
  quiet: toggle('not loud', { against: { flags: ['loud'], why: 'choose one' } }),
};

describe('what a command gets', () => {
  test('of no option is what each is then', () => {
    expect(given(FLAGS)).toEqual({
      loud: false,
      color: true,
      maxSize: null,
      name: [],
      keep: 5,
      quiet: false,
    });
  });

  test('is what each was given', () => {
    const args = [
      '-l',
      '--no-color',
      '--max-size',
      '7',
      '--name',
      'a',
      '--name',
      'b',
      '--keep',
      '2',
    ];
    expect(given(FLAGS, ...args)).toEqual({
      loud: true,
      color: false,
      maxSize: 7,
      name: ['a', 'b'],
      keep: 2,
      quiet: false,
    });
    expect(given(FLAGS, '--name', 'c').name).toEqual(['c']);
  });

  test.each([
    [['--keep', '2'], '--keep needs --max-size SIZE or --name NAME'],
    [['--loud', '--quiet'], '--quiet and --loud together: choose one'],
    [['--bogus'], /unknown option/],
    [['--max-size'], /argument missing/],
  ])('of %j is nothing', (args, message) => {
    expect(() => given(FLAGS, ...args)).toThrow(message);
  });

  test('of an option that has to be given is never nothing', () => {
    const flags = { output: required('<file>', 'where to', String, { short: 'o' }) };
    expect(given(flags, '-o', 'x').output).toBe('x');
    expect(() => given(flags)).toThrow(/required option '-o, --output <file>'/);
  });
});

test.each(Object.entries(COMMANDS))('%s names no option that it does not have', (_, flags) => {
  for (const { needs = [], against } of Object.values(flags))
    for (const name of [...needs, ...(against?.flags ?? [])]) expect(flags).toHaveProperty(name);
});
