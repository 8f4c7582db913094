// SPDX-License-Identifier: Apache-2.0

import type { Flow, Sock } from '../../wire/types.gen.ts';

/** Whether it is a further path of an MPTCP connection that is open: the kernel dials those by itself. */
export function joins({ mptcp, owner }: Sock): boolean {
  return mptcp === 1 && owner.comm.startsWith('kworker/');
}

export const JOINS = ' It was a further path of an MPTCP connection, which goes on without it';

/** Without a command: a name tells it, which anybody may choose. */
export function joinAdvice({ daddr }: Flow): string {
  return `no program dialled it: the kernel did, for an MPTCP connection that is open, and loses no more than a path. Its other end had announced ${daddr} (ADD_ADDR), or it is an endpoint here (ip mptcp endpoint)`;
}
