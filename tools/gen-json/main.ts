// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/gen-json/main.ts [OUT]    writes below OUT, the root of the repository by default
//
// What docs/json.md and docs/json.schema.json say of the kinds of events.

import { join } from 'node:path';
import type protobuf from 'protobufjs';
import { KINDS, kindOf } from '../../src/diagnose/kinds.ts';
import { HostKnowledge } from '../../src/known/host-knowledge.ts';
import { decodeHeader, eventFromJson } from '../../src/wire/decode.ts';
import { loadProto, readSchema } from '../gen-wire/schema.ts';
import { read, repository, write } from '../generated.ts';
import { rowsOf, schemaWith } from './texts.ts';

const root = loadProto(join(repository, 'proto'));
const { kinds } = readSchema(root);
const nobody = new HostKnowledge(decodeHeader(new Uint8Array()));
const bodies = kinds
  .filter(({ name }) => name in KINDS)
  .map(({ name: kind }) => {
    const message = root.lookupType('tcpwhy.v1.Event').get(kind)?.resolve() as protobuf.Field;
    const type = message.resolvedType as protobuf.Type;
    const event = eventFromJson({ [kind]: blank(type) });
    const row = kindOf(event);
    const names = Object.keys(row?.names?.(event.body, nobody) ?? {});
    return { kind, is: row?.is ?? '', fields: type.fieldsArray.map(({ name }) => name), names };
  });

write('docs/json.md', rowsOf(read('docs/json.md'), bodies));
write('docs/json.schema.json', schemaWith(read('docs/json.schema.json'), bodies));

/** Has every message in it, and no number. */
function blank({ fieldsArray }: protobuf.Type): { [field: string]: unknown } {
  return Object.fromEntries(
    fieldsArray.flatMap((field) => {
      const type = field.resolve().resolvedType;
      return type && !field.repeated ? [[field.name, blank(type as protobuf.Type)]] : [];
    }),
  );
}
