// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { circlesIn } from '../../../tools/check-imports/circles.ts';
import { importsOf } from '../../../tools/check-imports/imports.ts';
import { RULES } from '../../../tools/check-imports/rules.ts';

const broken = (file: string, source: string) =>
  importsOf(file, source).flatMap((by) => RULES.filter((rule) => rule.breaks(by)));

test.each([
  ['src/known/state.ts', "import { readFileSync } from 'node:fs';"],
  ['src/known/state.ts', "import { symbols } from '../host/symbols.js';"],
  ['src/tcp/address.ts', "import { isIP } from 'node:net';"],
  ['src/tcp/service.ts', "import { decode } from '../wire/decode.js';"],
  ['src/causes/shared/wording.ts', "import { x } from '../no-listener/index.js';"],
  ['src/wire/decode.ts', "import { Flow } from '../known/state.js';"],
  ['src/diagnose/engine.ts', "import { print } from '../sinks/text.js';"],
  ['src/causes/no-listener/index.ts', "import { x } from '../connect-refused/index.js';"],
  ['src/causes/no-listener/index.ts', "import type { X } from '../connect-refused/index.js';"],
  ['src/causes/no-listener/index.ts', "import { state } from '../../known/state.js';"],
  ['src/causes/no-listener/index.ts', "import type { X } from 'node:fs';"],
  ['src/sinks/text.ts', "import type { Flow } from '../known/state.js';"],
  ['src/sinks/text.ts', "import { Engine } from '../diagnose/engine.js';"],
  ['src/sinks/report/html.ts', "import { row } from '../tui/rows.js';"],
  ['src/sinks/json.ts', "export { row } from './tui/rows.js';"],
  ['src/commands/top.ts', "import { Session } from '../native/binding.js';"],
  ['src/commands/top.ts', "import { namespace } from '../../test/kernel/namespace.js';"],
  ['src/app/run.ts', "import { trace } from '../commands/trace.js';"],
  ['src/sinks/text.ts', "import type { Run } from '../app/run.js';"],
  ['src/record/write.ts', "const { top } = await import('../commands/top.js');"],
])('%s may not: %s', (file, source) => {
  expect(broken(file, source)).toHaveLength(1);
});

test.each([
  ['src/cli.ts', "import { top } from './commands/top.js';"],
  ['src/commands/top.ts', "import { Run } from '../app/run.js';"],
  ['src/commands/top.ts', "import { flags } from './flags.js';"],
  ['src/source/totals.ts', "import type { Session } from '../native/binding.js';"],
  ['src/source/live.ts', "import { Session } from '../native/binding.ts';"],
  ['src/known/state.ts', "import type { Symbols } from '../host/symbols.js';"],
  ['src/known/state.ts', "import { decode } from '../wire/decode.js';"],
  ['src/wire/decode.ts', "import protobuf from 'protobufjs/minimal.js';"],
  ['src/causes/no-listener/index.ts', "import { define } from '../define.js';"],
  ['src/causes/no-listener/index.ts', "import { advice } from './advice.js';"],
  ['src/causes/no-listener/index.ts', "import { inWords } from '../shared/wording.js';"],
  ['src/causes/no-listener/index.ts', "import { TCP_FLAG } from '../../tcp/flags.js';"],
  ['src/causes/no-listener/index.ts', "import type { Socket } from '../../known/state.js';"],
  ['src/causes/registry.gen.ts', "import noListener from './no-listener/index.js';"],
  ['src/sinks/tui/app.tsx', "import { Box } from 'ink'; import { row } from './rows.js';"],
  ['src/sinks/text.ts', "import { endpoint } from '../tcp/endpoint.js';"],
  ['src/sinks/tui/app.tsx', "import { printable } from '../printable.js';"],
  ['src/sinks/text.ts', "import type { Finding } from '../diagnose/finding.js';"],
])('%s may: %s', (file, source) => {
  expect(broken(file, source)).toEqual([]);
});

test('knows a type from a value', () => {
  const source = `import { type A, type B } from './types.js';
import { type A, b } from './mixed.js';
import './effect.js';
export type { C } from './exported.js';`;
  expect(importsOf('src/known/state.ts', source)).toEqual([
    { from: 'src/known/state', to: 'src/known/types', typeOnly: true, line: 1 },
    { from: 'src/known/state', to: 'src/known/mixed', typeOnly: false, line: 2 },
    { from: 'src/known/state', to: 'src/known/effect', typeOnly: false, line: 3 },
    { from: 'src/known/state', to: 'src/known/exported', typeOnly: true, line: 4 },
  ]);
});

describe('imports in a circle', () => {
  const circles = (...files: [string, string][]) =>
    circlesIn(files.flatMap(([file, source]) => importsOf(file, source)));

  test('are found among files, of types too, once and by the shortest way', () => {
    expect(
      circles(
        ['src/known/a.ts', "import { b } from './b.ts'; import { c } from './c.ts';"],
        ['src/known/b.ts', "import { c } from './c.ts';"],
        ['src/known/c.ts', "import type { A } from './a.ts';"],
      ),
    ).toEqual([
      ['src/known/a', 'src/known/c', 'src/known/a'],
      ['src/known/b', 'src/known/c', 'src/known/a', 'src/known/b'],
    ]);
  });

  test('are found among folders where no files are in one', () => {
    expect(
      circles(
        ['src/known/a.ts', "import { b } from '../wire/b.ts';"],
        ['src/wire/c.ts', "import type { D } from '../known/d.ts';"],
      ),
    ).toEqual([['src/known', 'src/wire', 'src/known']]);
  });

  test('are not where several ways lead to one place', () => {
    expect(
      circles(
        ['src/cli.ts', "import { a } from './known/a.ts'; import { b } from './wire/b.ts';"],
        ['src/known/a.ts', "import { b } from '../wire/b.ts'; import { c } from './c.ts';"],
        ['test/unit/known/a.test.ts', "import { a } from '../../../src/known/a.ts';"],
      ),
    ).toEqual([]);
  });
});
