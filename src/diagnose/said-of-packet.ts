// SPDX-License-Identifier: Apache-2.0

import type { Evidence, Match } from '../causes/define.ts';
import { endpoint } from '../tcp/endpoint.ts';
import type { Event } from '../wire/event.ts';
import type { Toa } from '../wire/types.gen.ts';
import { packetOf } from './unexplained.ts';

/** With whom the sender says it connects for, and whom that one dialled: balancers do. */
export function withToa(match: Match<Evidence>, event: Event): Match<Evidence> {
  const { toa, dialled } = packetOf(event) ?? {};
  if (!toa) return match;
  const evidence = { ...match.evidence, connects_for: toaText(toa) };
  return { ...match, evidence: dialled ? { ...evidence, vip: toaText(dialled) } : evidence };
}

function toaText({ addr, port, kind }: Toa): string {
  return `${port === 0 ? addr : endpoint(addr, port)} (TCP option ${kind})`;
}

/** Whether the socket that it is about is of MPTCP, where it is: what a process reads and writes is not its own then. */
export function withMptcp(match: Match<Evidence>, { body }: Event): Match<Evidence> {
  const sock = 'sock' in body ? body.sock : 'listener' in body ? body.listener : null;
  if (!sock?.mptcp) return match;
  return { ...match, evidence: { ...match.evidence, protocol: 'MPTCP' } };
}
