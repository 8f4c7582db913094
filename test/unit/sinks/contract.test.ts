// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/app/commands.ts';
import type { Flags } from '../../../src/app/declare.ts';
import * as declared from '../../../src/app/flags.ts';
import { Run } from '../../../src/app/run.ts';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { checker, misfit, SCHEMA } from '../../schema.ts';
import { fixtureNames, readFixture, streamOf } from '../causes/fixture.ts';

interface Schema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
}

const DOC = readFileSync(join(import.meta.dirname, '../../../docs/json.md'), 'utf8');
const LINES: string[] = SCHEMA.oneOf.map(({ $ref }: { $ref: string }) => $ref.split('/').at(-1));

/** Of a finding, where there is nothing to say. */
const MAY_BE_ABSENT = ['many', 'ends', 'container_name', 'pod_name', 'pod_namespace'];

/** Every line of every fixture: what happened, and what did not. */
const FIXTURES = CAUSES.flatMap(({ id }) =>
  (['fires', 'quiet'] as const).flatMap((prefix) =>
    fixtureNames(id, prefix).map((name) => ({ id, name })),
  ),
);

describe('docs/json.schema.json', () => {
  test.each(FIXTURES)('$id/$name fits', ({ id, name }) => {
    const lines = linesOf(id, name);
    expect(lines.map(misfit).filter(Boolean)).toEqual([]);
  });

  test('misses no field: without one, what has it does not fit', () => {
    const lines = linesOf('connect-timeout', 'fires-because');
    for (const type of ['start', 'event', 'finding', 'summary']) {
      for (const field of Object.keys(SCHEMA.$defs[type].properties)) {
        const having = lines.filter((line) => line.type === type && field in line);
        const less = structuredClone(SCHEMA);
        const definition = less.$defs[type];
        delete definition.properties[field];
        definition.required = definition.required.filter((name: string) => name !== field);
        const check = checker(less);
        for (const line of having) expect(check(line), `${type}.${field}`).not.toBe('');
      }
    }
  });

  test('lets no field be absent, nor be of another type', () => {
    const [line = {}] = linesOf('no-listener', 'fires').filter(({ type }) => type === 'finding');
    for (const field of Object.keys(line)) {
      const { [field]: _, ...rest } = line;
      if (!MAY_BE_ABSENT.includes(field)) expect(misfit(rest), field).not.toBe('');
      expect(misfit({ ...line, [field]: 1n }), field).not.toBe('');
    }
    expect(misfit({ ...line, more: 1 })).toContain('more');
    expect(misfit({ ...line, last: '2026-11-22T00:27:39.000+02:00' })).toContain('pattern');
    expect(misfit({ ...line, advice: ['a `mark without end'] })).toContain('pattern');
  });

  test('is exact: all that an object has but what may be absent is required, and nothing else allowed', () => {
    for (const [name, definition] of Object.entries<Schema>(SCHEMA.$defs)) {
      if (!definition.properties) continue;
      expect(definition.additionalProperties, name).toBe(false);
      if (name !== 'event')
        expect(definition.required?.toSorted()).toEqual(
          Object.keys(definition.properties)
            .filter((property) => !MAY_BE_ABSENT.includes(property))
            .sort(),
        );
    }
  });
});

const DECLARED = Object.entries(COMMANDS).map(
  ([name, { flags }]) => [name, flags as Flags] as const,
);

describe('docs/json.md', () => {
  const commands = Object.groupBy(
    section('Commands').matchAll(/^\| `([a-z]+)[^|]*\|[^|]*\|([^|]*)\|$/gm),
    ([, command = '']) => command,
  );

  test('has every command, and no other', () => {
    expect(Object.keys(commands).sort()).toEqual(Object.keys(COMMANDS).sort());
  });

  test.each(DECLARED)('%s: every option, and no other', (command, flags) => {
    const said = (commands[command] ?? []).map(([, , options = '']) => options).join();
    const options = new Set(said.match(/--[a-z-]+/g));
    const expected = said.includes('as `trace`') ? optionsOf(declared.TRACE) : [...options].sort();
    expect(optionsOf(flags)).toEqual(expected);
  });

  const tables = new Map(
    DOC.split(/^### `/m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('`')), rowsOf(section)] as const),
  );

  test('has every object of the schema, and no other', () => {
    expect([...tables.keys()].sort()).toEqual(LINES.toSorted());
  });

  test.each(LINES)('%s: every field, with its type, and no other', (name) => {
    expect(tables.get(name)).toEqual(fieldsOf(SCHEMA.$defs[name]));
  });
});

function section(title: string): string {
  return DOC.split(/^## /m).find((text) => text.startsWith(title)) ?? '';
}

/** As they are typed: `--max-size`, `--no-color`. */
function optionsOf(flags: Flags): string[] {
  return Object.entries(flags)
    .filter(([, { hidden }]) => !hidden)
    .map(([name, { negated }]) => {
      const typed = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return negated ? `--no-${typed}` : `--${typed}`;
    })
    .sort();
}

function linesOf(id: string, name: string): Record<string, unknown>[] {
  const { header, events } = readFixture(id, name);
  const options = { json: true, color: false, quiet: false, events: true, all: true };
  let text = '';
  const run = new Run(header, { ...options, causes: null, failOn: 'warning' }, (more) => {
    text += more;
  });
  run.push(streamOf(events));
  run.finish();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** `field` and type of each row of the section's table. */
function rowsOf(section: string): Record<string, string> {
  const rows = section.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm);
  return Object.fromEntries([...rows].map(([, field, type]) => [field, type?.trim()]));
}

/** The same of a definition: what it holds is `flow.saddr`, and in a list `hooks[].fact`. */
function fieldsOf(definition: Schema, path = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(definition.properties ?? {}).flatMap(([name, property]) => {
      if (property.const !== undefined) return [];
      const { type, inner } = shapeOf(property);
      const here = `${path}${name}`;
      const suffix = type === 'objects' ? '[].' : '.';
      return [[here, type], ...Object.entries(inner ? fieldsOf(inner, `${here}${suffix}`) : {})];
    }),
  );
}

function shapeOf(schema: Schema): { type: string; inner: Schema | null } {
  if (schema.$ref) return shapeOf(SCHEMA.$defs[schema.$ref.split('/').at(-1) ?? '']);
  if (schema.anyOf) {
    const [one = {}] = schema.anyOf;
    const { type, inner } = shapeOf(one);
    return { type: `${type} or null`, inner };
  }
  if (schema.items) {
    const { type, inner } = shapeOf(schema.items);
    return { type: `${type}s`, inner };
  }
  const inner = schema.properties ? schema : null;
  return { type: [schema.type].flat().join(' or '), inner };
}
