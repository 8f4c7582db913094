// SPDX-License-Identifier: Apache-2.0

import type { Cause, Evidence, Match } from '../causes/define.ts';
import { ownerOf } from '../causes/shared/processes.ts';
import type { Knowledge } from '../known/knowledge.ts';
import { local, remote } from '../tcp/endpoint.ts';
import { flagsText } from '../tcp/flags.ts';
import { service } from '../tcp/service.ts';
import type { Event } from '../wire/event.ts';
import { PARTS_WITH_FLOW } from '../wire/messages.ts';
import type { Flow, Packet } from '../wire/types.gen.ts';
import { kindOf } from './kinds.ts';
import { movedText } from './wording.ts';

const rest = (id: string, title: string, advice: string[]): Cause => ({
  id,
  title,
  severity: 'info',
  explains: title,
  seenAs: [],
  needs: [],
  on: [],
  match: () => null,
  summary({ what, reason, why, from, to, flags }) {
    const segment = flags === undefined ? `${from} → ${to}` : `[${flags}] ${from} → ${to}`;
    return `${what} (${reason}): ${segment}${why ? `, ${why}` : ''}`;
  },
  advice: () => advice,
});

/** Shown where no cause matches: the number to bring down. */
export const UNEXPLAINED = rest(
  'unexplained',
  'dropped, refused or reset for a reason not known yet',
  ['tcpwhy knows no cause for this reason yet; the evidence is what the kernel said'],
);

/** Ordinary duplicates and teardown: hidden unless asked for. */
export const BENIGN = rest('benign', 'ordinary duplicates and teardown', ['nothing to do']);

/** Is the event something that has to have a cause? Then this is what it shows without one. */
export function unexplained(
  event: Event,
  why: string | null,
  known: Knowledge,
): Match<Evidence> | null {
  switch (event.kind) {
    case 'drop': {
      const reason = known.dropReason(event.body.reason);
      return found(
        'segment dropped',
        reason,
        event.body.packet,
        known.symbol(event.body.location)?.name ?? null,
      );
    }
    case 'reset_sent': {
      const reason = known.resetReason(event.body.reason);
      const { packet, sock } = event.body;
      if (packet) return found('reset sent', reason, packet, null);
      return sock && { ...found('reset sent', reason, sock, null), owner: ownerOf(sock.owner) };
    }
    case 'syn_received':
      return found('SYN refused', movedText(event.body.mib), event.body.packet, null);
    default:
      return null;
  }

  function found(
    what: string,
    reason: string,
    { flow, flags }: { flow: Flow; flags?: number },
    location: string | null,
  ): Match<Evidence> {
    const evidence: Evidence = {
      what,
      reason,
      ...(location && { location }),
      ...(why && { why }),
      from: local(flow),
      to: remote(flow),
      ...(flags !== undefined && { flags: flagsText(flags) }),
    };
    const where = service(flow);
    return {
      evidence,
      basis: 'direct',
      subject: 'flow',
      where,
      flow,
      group: `${what} ${reason} ${location ?? ''} ${event.netns} ${where}`,
      owner: null,
    };
  }
}

/** The packet that an event is about. */
export function packetOf(event: Event): Packet | null {
  return kindOf(event)?.packet?.(event.body) ?? null;
}

/** Every connection that an event names: its packet's, its sockets', and the one that the process was shown. */
export function flowsOf(event: Event): Flow[] {
  const flows: Flow[] = [];
  const body = event.body as unknown as { [part: string]: { flow?: Flow } | null };
  for (const name of PARTS_WITH_FLOW.get(event.kind) ?? []) {
    const flow = body[name]?.flow;
    if (flow) flows.push(flow);
  }
  if (event.kind !== 'peer_name') return flows;
  const { sock, shown_addr, shown_port } = event.body;
  return [...flows, { ...sock.flow, daddr: shown_addr, dport: shown_port }];
}
