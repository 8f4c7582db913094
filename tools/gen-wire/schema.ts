// SPDX-License-Identifier: Apache-2.0

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const protobufjs = dirname(fileURLToPath(import.meta.resolve('protobufjs')));

/** What BPF can write: every field has a width that does not depend on its value. */
export type Field = { name: string; number: number } & (
  | { kind: 'fixed32'; bits: number }
  | { kind: 'fixed64' }
  | { kind: 'bytes'; len: number; holds: string }
  | { kind: 'message'; message: Message; may_be_absent: boolean }
);

export interface Message {
  /** snake_case. */
  name: string;
  /** As in the proto file. */
  type: string;
  fields: Field[];
  /** Those of a record that ends early; null where none does. */
  brief: Field[] | null;
}

/** A row of Event.body. */
export interface EventKind {
  name: string;
  number: number;
  /** Where BPF writes it. */
  message: Message | null;
}

export interface Schema {
  /** Fields of Event beside its body. */
  common: Field[];
  kinds: EventKind[];
  /** Messages under the kinds that BPF writes, each after those it contains. */
  messages: Message[];
  /** Fields of MibDelta that hold a counter. */
  mib: { field: string; counter: string }[];
}

/** Numbers in Event.body that tcpwhy writes; BPF writes the others. */
const isOwn = (number: number) => number >= 32 && number < 64;

export function loadProto(dir: string): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_, target) => join(target.startsWith('google/') ? protobufjs : dir, target);
  root.loadSync(['tcpwhy/v1/event.proto', 'tcpwhy/v1/recording.proto'], {
    keepCase: true,
    alternateCommentMode: true,
  });
  root.resolveAll();
  return root;
}

export function readSchema(root: protobuf.Root): Schema {
  const messages = new Map<string, Message>();
  const event = root.lookupType('tcpwhy.v1.Event');
  const [body] = event.oneofsArray;
  if (!body) throw new Error('Event has no oneof');

  const message = messagesInto(messages);

  const common = event.fieldsArray
    .filter((field) => !field.partOf)
    .map((field) => fixedField(field, message));
  const kinds = body.fieldsArray.map((field) => ({
    name: field.name,
    number: field.id,
    message: isOwn(field.id) ? null : message(field.resolvedType as protobuf.Type),
  }));
  const mib = root.lookupType('tcpwhy.v1.MibDelta').fieldsArray.flatMap((field) => {
    const counter = field.options?.['(mib)'];
    return counter ? [{ field: field.name, counter: String(counter) }] : [];
  });
  return { common, kinds, messages: [...messages.values()], mib };
}

function messagesInto(messages: Map<string, Message>): (type: protobuf.Type) => Message {
  const message = (type: protobuf.Type): Message => {
    const known = messages.get(type.name);
    if (known) return known;
    const fields = type.fieldsArray.map((field) => fixedField(field, message));
    const last = type.fieldsArray.findIndex((field) => field.options?.['(may_be_last)']);
    const brief = last < 0 ? null : fields.slice(0, last + 1);
    const made = { name: snakeCase(type.name), type: type.name, fields, brief };
    messages.set(type.name, made);
    return made;
  };
  return message;
}

function fixedField(field: protobuf.Field, message: (type: protobuf.Type) => Message): Field {
  const name = field.name;
  const number = field.id;
  if (field.repeated || field.map) throw unwritable(field, 'it repeats');
  if (field.type === 'fixed64') return { name, number, kind: 'fixed64' };
  if (field.type === 'fixed32')
    return { name, number, kind: 'fixed32', bits: Number(field.options?.['(bits)'] ?? 32) };
  if (field.type === 'bytes') {
    const len = Number(field.options?.['(len)']);
    if (!(len > 0) || len % 4 !== 0) throw unwritable(field, 'its (len) is no multiple of 4');
    return { name, number, kind: 'bytes', len, holds: String(field.options?.['(holds)']) };
  }
  if (field.resolvedType instanceof protobuf.Type) {
    const may_be_absent = Boolean(field.options?.['(may_be_absent)']);
    return { name, number, kind: 'message', message: message(field.resolvedType), may_be_absent };
  }
  throw unwritable(field, `${field.type} has no fixed width`);
}

function unwritable(field: protobuf.Field, why: string): Error {
  return new Error(`${field.fullName}: BPF cannot write this field: ${why}`);
}

function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, '_$&').toLowerCase();
}
