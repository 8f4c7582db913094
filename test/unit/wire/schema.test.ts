// SPDX-License-Identifier: Apache-2.0

import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { readSchema } from '../../../tools/gen-wire/schema.ts';

function schemaOf(field: string) {
  const proto = `syntax = "proto3"; package tcpwhy.v1;
    message Event { fixed64 ktime_ns = 1; oneof body { ResetSent reset_sent = 17; Tick tick = 32; } }
    message ResetSent { ${field} }
    message Tick { string text = 1; }
    message MibDelta { fixed32 out_rsts = 1 [(mib) = "TCP_MIB_OUTRSTS"]; fixed32 mixed = 2; }`;
  const { root } = protobuf.parse(proto, { keepCase: true });
  root.resolveAll();
  return readSchema(root);
}

test('knows what BPF writes and what it does not', () => {
  const schema = schemaOf('bytes stack = 6 [(len) = 64, (holds) = "pointers"];');
  expect(schema.common).toEqual([{ name: 'ktime_ns', number: 1, kind: 'fixed64' }]);
  expect(schema.kinds).toEqual([
    {
      name: 'reset_sent',
      number: 17,
      message: {
        name: 'reset_sent',
        type: 'ResetSent',
        fields: [{ name: 'stack', number: 6, kind: 'bytes', len: 64, holds: 'pointers' }],
        brief: null,
      },
    },
    { name: 'tick', number: 32, message: null },
  ]);
  expect(schema.mib).toEqual([{ field: 'out_rsts', counter: 'TCP_MIB_OUTRSTS' }]);
});

test('knows where a record may end early', () => {
  const schema = schemaOf(
    'fixed32 a = 1; fixed32 b = 2 [(may_be_last) = true]; bytes c = 3 [(len) = 4];',
  );
  expect(schema.messages[0]?.brief?.map(({ name }) => name)).toEqual(['a', 'b']);
});

test.each([
  ['uint32 reason = 1;', 'uint32 has no fixed width'],
  ['repeated fixed32 reason = 1;', 'it repeats'],
  ['bytes stack = 6;', 'its (len) is no multiple of 4'],
  ['bytes stack = 6 [(len) = 6];', 'its (len) is no multiple of 4'],
])('refuses %s', (field, why) => {
  expect(() => schemaOf(field)).toThrow(why);
});
