// SPDX-License-Identifier: Apache-2.0

import type { EventKind, Field, Message, Schema } from './schema.ts';

/** Fields that hold addresses of the kernel's code, and identities of cgroups. */
const CODE = new Set(['location', 'getname', 'stack']);
const CGROUP = 'cgroup';

/** Where everything lies in the records of BPF, in words of four bytes, and how it is read from there. */
export function writtenLayouts(schema: Schema): string {
  const kinds = schema.kinds.filter((kind): kind is Written => kind.message !== null);
  const absent = schema.messages.filter((message) =>
    schema.messages.some(({ fields }) =>
      fields.some(
        (field) => field.kind === 'message' && field.may_be_absent && field.message === message,
      ),
    ),
  );
  const types = schema.messages.map(({ type }) => `${type}, `);
  return `${HEADER}
import type { ${types.join('')}} from './types.gen.ts';
import { address, isZero, low, number64, pointers, text, u32, u64, type Words } from './words.ts';

${absent.map((message) => constant(valuesOf(message), list(values(message.fields, 0)))).join('')}
${schema.messages.map(reader).join('\n')}
${schema.messages.map(briefReader).join('')}
/** What every event has, without its body. */
export function readCommon(w: Words, at: number) {
  return {
${objectFields(schema.common)}  };
}

/** Where the tag of the body is, and the body. */
export const BODY_TAG = ${sizeOf(schema.common)};
export const BODY = ${sizeOf(schema.common) + 2};

/** Where each field is, in words from the beginning of its message. */
export const AT = {
${places('Event', schema.common)}${schema.messages.map(({ type, fields }) => places(type, fields)).join('')}} as const;

/** Records by the number of their body. */
export const WRITTEN = {
${kinds.map((kind) => layout(schema.common, kind, kind.message)).join('')}} as const;

/** The same of those that end early. */
export const BRIEF = {
${kinds.map((kind) => layout(schema.common, kind, briefOf(kind.message))).join('')}} as const;
`;
}

type Written = EventKind & { message: Message };

/** As if the message had no more fields than those of a record that ends early. */
function briefOf({ name, type, brief }: Message): Message | null {
  return brief && { name, type: `Brief${type}`, fields: brief, brief: null };
}

function layout(common: Field[], { name, number }: Written, message: Message | null): string {
  if (!message) return '';
  const record: Field[] = [
    ...common,
    { name, number, kind: 'message', message, may_be_absent: false },
  ];
  const named = (wanted: (name: string) => boolean) => list(values(record, 0, wanted));
  return `  ${number}: {
    kind: '${name}',
    words: ${sizeOf(record)},
    length: ${varint(4 * sizeOf(record))},
    tag: ${varint((number << 3) | 2)},
    size: ${varint(4 * sizeOf(message.fields))},
    tags: ${list(tags(record, 0))},
    body: (w: Words, at: number) => read${message.type}(w, at + BODY),
    code: ${named((field) => CODE.has(field))},
    cgroups: ${named((field) => field === CGROUP)},
    flows: ${list(flows(record, 0))},
  },
`;
}

function reader(message: Message): string {
  return `function read${message.type}(w: Words, at: number): ${message.type} {
  return {
${objectFields(message.fields)}  };
}
`;
}

/** What a record has no room for reads as zeros. */
function briefReader({ type, fields, brief }: Message): string {
  if (!brief) return '';
  const absent = fields
    .slice(brief.length)
    .map((field) => `    ${field.name}: ${absentValue(field)},\n`);
  return `function readBrief${type}(w: Words, at: number): ${type} {
  return {
${objectFields(brief)}${absent.join('')}  };
}
`;
}

function absentValue(field: Field): string {
  switch (field.kind) {
    case 'fixed32':
      return '0';
    case 'fixed64':
      return "'0'";
    case 'bytes':
      return field.holds === 'pointers' ? '[]' : "''";
    case 'message':
      return 'null';
  }
}

function objectFields(fields: Field[]): string {
  return placed(fields)
    .map(({ field, at }) => `    ${field.name}: ${read(field, at)},\n`)
    .join('');
}

function read(field: Field, at: number): string {
  const place = `w, at + ${at + headOf(field)}`;
  switch (field.kind) {
    case 'fixed32':
      return field.bits === 32 ? `u32(${place})` : `low(${place}, ${2 ** field.bits - 1})`;
    case 'fixed64':
      return field.name === 'ktime_ns' ? `number64(${place})` : `u64(${place})`;
    case 'bytes':
      return `${field.holds}(${place}${field.holds === 'pointers' ? `, ${field.len / 4}` : ''})`;
    case 'message': {
      const there = `read${field.message.type}(${place})`;
      return field.may_be_absent
        ? `isZero(${place}, ${valuesOf(field.message)}) ? null : ${there}`
        : there;
    }
  }
}

/** Words before a field's value: its tag and, where it has one, its length. */
const headOf = ({ kind }: Field) => (kind === 'bytes' || kind === 'message' ? 2 : 1);

function sizeOf(fields: Field[]): number {
  return fields.reduce((sum, field) => sum + headOf(field) + valueSize(field), 0);
}

function valueSize(field: Field): number {
  switch (field.kind) {
    case 'fixed32':
      return 1;
    case 'fixed64':
      return 2;
    case 'bytes':
      return field.len / 4;
    case 'message':
      return sizeOf(field.message.fields);
  }
}

function placed(fields: Field[]): { field: Field; at: number }[] {
  return fields.map((field, index) => ({ field, at: sizeOf(fields.slice(0, index)) }));
}

/** The words of all values, or of those of wanted fields. */
function values(fields: Field[], from: number, wanted: (name: string) => boolean = () => true) {
  return placed(fields).flatMap(({ field, at }): number[] => {
    const begin = from + at + headOf(field);
    if (field.kind === 'message') return values(field.message.fields, begin, wanted);
    if (!wanted(field.name)) return [];
    return Array.from({ length: valueSize(field) }, (_, word) => begin + word);
  });
}

function places(type: string, fields: Field[]): string {
  const words = placed(fields).map(({ field, at }) => `${field.name}: ${at + headOf(field)}`);
  return `  ${type}: { ${words.join(', ')} },\n`;
}

/** Where each Flow begins. */
function flows(fields: Field[], from: number): number[] {
  return placed(fields).flatMap(({ field, at }): number[] => {
    if (field.kind !== 'message') return [];
    const begin = from + at + headOf(field);
    return field.message.type === 'Flow' ? [begin] : flows(field.message.fields, begin);
  });
}

/** Each word that is a tag or length, and what it has to be. */
function tags(fields: Field[], from: number): number[] {
  return placed(fields).flatMap(({ field, at }) => {
    const wire = { fixed32: 5, fixed64: 1, bytes: 2, message: 2 }[field.kind];
    const tag = [from + at, varint((field.number << 3) | wire)];
    const size = [from + at + 1, varint(4 * valueSize(field))];
    if (field.kind === 'message')
      return [...tag, ...size, ...tags(field.message.fields, from + at + 2)];
    return field.kind === 'bytes' ? [...tag, ...size] : tag;
  });
}

/** WIRE_VARINT of bpf/include/wire.gen.h. */
function varint(n: number): number {
  const groups = [n, n >> 7, n >> 14].map((bits, at) => ((bits & 0x7f) | 0x80) << (8 * at));
  return groups.reduce((word, group) => word | group, (n >> 21) << 24);
}

const valuesOf = ({ name }: Message) => `${name.toUpperCase()}_VALUES`;
const list = (numbers: number[]) => `[${numbers.join(', ')}] as readonly number[]`;
const constant = (name: string, value: string) => `const ${name} = ${value};\n`;

const HEADER = `// SPDX-License-Identifier: Apache-2.0
// Generated by tools/gen-wire from proto/tcpwhy/v1/event.proto: do not edit.
`;
