// SPDX-License-Identifier: Apache-2.0

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
type Definition = { [name: string]: Json };

/** A kind of event: what it is, the fields that its body always has, and the names that stand beside them. */
export interface Body {
  kind: string;
  is: string;
  fields: string[];
  names: string[];
}

/** The rows of the kinds, which follow that of `occurrences`. */
export function rowsOf(page: string, bodies: readonly Body[]): string {
  const rows = bodies.map(({ kind, is, names }) => {
    const also = names.map((name) => `\`${name}\``).join(' and ');
    return `| \`${kind}\` | object | ${is}${also && `; with ${also}`} |\n`;
  });
  const before = /^(\| `occurrences` \|.*\n)(?:\| `\w+` \| object \|.*\n)*/m;
  if (!before.test(page)) throw new Error('docs/json.md: no row of occurrences');
  return page.replace(before, (_, row) => `${row}${rows.join('')}`);
}

/** The schema with those kinds of events, and no others. */
export function schemaWith(schema: string, bodies: readonly Body[]): string {
  const read: { $defs: { event: { properties: Definition; allOf: Json } } } = JSON.parse(schema);
  const { event } = read.$defs;
  const common = ['type', 'seq', 'time', 'kind', 'cpu', 'netns', 'occurrences'];
  event.properties = Object.fromEntries([
    ...common.map((name): [string, Json] => [name, event.properties[name] ?? null]),
    ...bodies.map((body): [string, Json] => [
      body.kind,
      { type: 'object', required: withNames(body) },
    ]),
  ]);
  event.properties.kind = { type: 'string', enum: bodies.map(({ kind }) => kind) };
  event.allOf = bodies.map(({ kind }) => ({
    if: { properties: { kind: { const: kind } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema.
    then: { required: [kind] },
    else: { properties: { [kind]: false } },
  }));
  return `${text({ ...read }, '')}\n`;
}

/** Each name behind the field that it is of. */
function withNames({ fields, names }: Body): string[] {
  return fields.flatMap((field) => [
    field,
    ...names.filter((name) => name === `${field}_name` || name === `${field}_names`),
  ]);
}

const WIDTH = 100;

/** As the formatter leaves it: lists of plain values on one line where they fit. `before`: what stands on the first line. */
function text(value: Json, indent: string, before = indent): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const within = `${indent}  `;
  if (Array.isArray(value)) {
    const flat = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    const plain = value.every((item) => typeof item !== 'object' || item === null);
    if (plain && before.length + flat.length < WIDTH) return flat;
    return `[\n${value.map((item) => `${within}${text(item, within)}`).join(',\n')}\n${indent}]`;
  }
  const rows = Object.entries(value).map(([name, item]) => {
    const start = `${within}${JSON.stringify(name)}: `;
    return `${start}${text(item, within, start)}`;
  });
  return rows.length === 0 ? '{}' : `{\n${rows.join(',\n')}\n${indent}}`;
}
