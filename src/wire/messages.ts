// SPDX-License-Identifier: Apache-2.0

import protobuf from 'protobufjs/light.js';
import { MESSAGES } from './messages.gen.ts';

const root = new protobuf.Root().addJSON(MESSAGES);

/** The two messages that a recording has; what reads and writes them is made when it is first needed. */
export const EVENT = root.lookupType('Event');
export const HEADER = root.lookupType('Header');

const fieldsOf = (type: string) =>
  Object.entries((MESSAGES as { [type: string]: protobuf.IType })[type]?.fields ?? {});

/** By kind of event: the parts of its body that are of a connection, and say which in `flow`. */
export const PARTS_WITH_FLOW: ReadonlyMap<string, readonly string[]> = new Map(
  fieldsOf('Event').map(([kind, body]) => {
    const ofFlow = fieldsOf(body.type).filter(([, part]) =>
      fieldsOf(part.type).some(([name]) => name === 'flow'),
    );
    return [kind, ofFlow.map(([name]) => name)];
  }),
);

/** Fields of a name that hold an address hold nothing else anywhere. */
export const ADDRESS_FIELDS: ReadonlySet<string> = new Set(
  Object.values<protobuf.IType>(MESSAGES).flatMap(({ fields }) =>
    Object.keys(fields).filter((name) => fields[name]?.options?.holds === 'address'),
  ),
);
