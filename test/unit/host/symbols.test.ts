// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { parseKallsyms } from '../../../src/host/symbols.ts';

const TEXT = `ffffffff81000100 T tcp_v4_rcv
ffffffff81000000 t local_one
ffffffff82000000 D some_data
ffffffffc0001000 t inet_getname_toa\t[toa]
`;

test('functions in order, with their module', () => {
  expect(parseKallsyms(TEXT)).toEqual([
    ['ffffffff81000000', { name: 'local_one', module: '' }],
    ['ffffffff81000100', { name: 'tcp_v4_rcv', module: '' }],
    ['ffffffffc0001000', { name: 'inet_getname_toa', module: 'toa' }],
  ]);
});

test('nothing where the kernel hides its addresses', () => {
  expect(parseKallsyms('0000000000000000 T tcp_v4_rcv\n')).toEqual([]);
});
