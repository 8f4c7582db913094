// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { bracketed } from '../../tcp/address.ts';
import { endpoint, local } from '../../tcp/endpoint.ts';
import type { Packet, Sock } from '../../wire/types.gen.ts';
import { ownerOf } from './processes.ts';
import { inWords } from './wording.ts';

/** A listener's own end as ss writes it: with the device that it is bound to. */
export function listensOn(netns: number, { flow, bound_ifindex }: Sock, known: Knowledge): string {
  if (bound_ifindex === 0) return local(flow);
  const device = known.device(netns, bound_ifindex) ?? `if${bound_ifindex}`;
  return `${bracketed(flow.saddr)}%${device}:${flow.sport}`;
}

/**
 * What is said of a listener that refused a segment: `one_of` so many that share its end, where it is
 * not known which.
 */
export function refusedAt(
  netns: number,
  { flow: { daddr, dport } }: Packet,
  listener: Sock | null,
  one_of: number,
  known: Knowledge,
) {
  const where = endpoint(daddr, dport);
  const sharing = Math.max(listener?.sharing ?? 0, one_of);
  const held_by = listener ? known.holders(listener.id) : [];
  const listened = ownerOf(listener?.owner);
  // Who called listen() may have ended, and have left it to a process that it had started.
  const [heir] = held_by.some(({ pid }) => pid === listened?.pid) ? [] : held_by;
  const which = sharing > 1 ? ` ${listener?.id ?? 'any'}` : '';
  return {
    subject: 'listener' as const,
    where,
    group: `${netns} ${daddr} ${dport}${which}`,
    owner: listened && heir ? { ...listened, ...heir } : listened,
    evidence: {
      listener: where,
      listens_on: listener ? listensOn(netns, listener, known) : null,
      listeners: sharing > 1 ? sharing : null,
      listener_known: sharing > 1 ? listener !== null : null,
      ...(listened && heir && { inherited_from: `${listened.comm} (${listened.pid})` }),
      held_by: held_by.length > 1 ? held_by.map(({ comm, pid }) => `${comm} (${pid})`) : null,
    },
  };
}

/** Which of the listeners of an end, in a few words after its name. */
export function whichListener(listeners: number | null, known: boolean | null): string {
  if (listeners === null) return '';
  return known ? ` (1 of ${listeners} listeners)` : ` (one of ${listeners} listeners)`;
}

/** What to do where several listeners share an end by SO_REUSEPORT, or processes one listener. */
export function sharedAdvice(
  { listeners, listener_known, held_by, inherited_from }: SharedEvidence,
  port: number,
): string[] {
  const all = `\`ss -ltnp 'sport = :${port}'\``;
  return [
    ...(listeners === null
      ? []
      : [
          listener_known
            ? `the kernel spreads connections over ${listeners} listeners (SO_REUSEPORT): the others do not take what waits at this one: ${all}`
            : `which of the ${listeners} (SO_REUSEPORT)? Its Recv-Q is above its Send-Q: ${all}`,
        ]),
    ...(inherited_from === undefined
      ? []
      : [
          `${inWords(inherited_from)} called listen() and has it open no more: a process that it started has inherited the socket, which keeps it alive, and does not accept. Who has it: ${all} End that one; and have sockets closed in what is started (SOCK_CLOEXEC)`,
        ]),
    ...(held_by === null
      ? []
      : [
          `the listener is open in ${held_by.length} processes, of which any may accept: ${inWords(held_by.join(', '))}`,
        ]),
  ];
}

interface SharedEvidence {
  listeners: number | null;
  listener_known: boolean | null;
  held_by: string[] | null;
  inherited_from?: string;
}
