// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import type { Flow, Sock } from '../../wire/types.gen.ts';
import { word } from './wording.ts';

/** Whether it is a further path of an MPTCP connection that is open: the kernel dials those by itself. */
export function joins({ mptcp, owner }: Sock): boolean {
  return mptcp === 1 && owner.comm.startsWith('kworker/');
}

export const JOINS = ' It was a further path of an MPTCP connection, which goes on without it';

export function joinAdvice({ daddr }: Flow): string {
  return `no program dialled it: the kernel did, for an MPTCP connection that is open, and loses no more than a path. Its other end had announced ${daddr} (ADD_ADDR), or it is an endpoint here: \`ip mptcp endpoint\` and \`ip mptcp limits\` The connection: \`ss -Mtin\` and \`ss -tin dst ${word(bracketed(daddr))}\``;
}
