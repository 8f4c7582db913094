// SPDX-License-Identifier: Apache-2.0

import { ENTRY } from '../tcp/conntrack.ts';
import { service } from '../tcp/service.ts';
import type { Event } from '../wire/event.ts';
import type { Drop, DropRules } from '../wire/types.gen.ts';
import { sourceToDestination } from './connection-id.ts';
import { ExpiringMap } from './expiring-map.ts';

/** A segment that is sent again comes after 120 s at the latest. */
const SPAN_NS = 130e9;
/** Rules are not read for every packet of a storm. */
const ALIKE_NS = 5e9;
const MAX_PACKETS = 8192;
const MAX_SERVICES = 4096;

/** What tells packets apart that other rules may drop. */
export function packetOfRules(
  netns: number,
  { packet, leaves_ifindex, rejected }: Pick<Drop, 'packet' | 'leaves_ifindex' | 'rejected'>,
): string {
  const { flow, flags, ifindex } = packet;
  return idOf({ netns, flow, flags, ifindex, leaves_ifindex, rejected });
}

function idOf(
  of: Pick<DropRules, 'netns' | 'flow' | 'flags' | 'ifindex' | 'leaves_ifindex' | 'rejected'>,
): string {
  const { netns, flow, flags, ifindex, leaves_ifindex, rejected } = of;
  if (!flow) return '';
  return `${netns} ${sourceToDestination(flow)} ${flags} ${ifindex} ${leaves_ifindex} ${rejected}`;
}

/** Which rules may have dropped a packet, as they were just after it. */
export interface DroppedBy extends DropRules {
  /** How the rule answers: 1 with a reset, 2 with an ICMP error; null: it may have been one that does not. */
  answer: number | null;
  /** How many packets to this service such rules left without an answer until now. */
  unanswered: number;
  /** They were read for another packet, which differs in the client's port alone. */
  of_another: boolean;
}

export class DropRulesTold {
  readonly #told = new ExpiringMap<DropRules>(SPAN_NS, MAX_PACKETS);
  /** Of packets that differ in the client's port alone: what was told last. */
  readonly #alike = new ExpiringMap<DropRules>(ALIKE_NS, MAX_SERVICES);
  /** The packet that was asked about last, by several causes, and what was told of it. */
  #asked: { event: Event; told: DropRules | null } | null = null;
  readonly #unanswered = new ExpiringMap<number>(SPAN_NS, MAX_SERVICES);

  learn(event: Event): void {
    if (event.kind === 'fact') {
      const { drop_rules } = event.body;
      if (!drop_rules) return;
      this.#told.set(idOf(drop_rules), drop_rules, event.ktime_ns);
      this.#asked = null;
    } else if (event.kind === 'drop') {
      const told = this.#exactly(event);
      if (told && told.rules.length > 0) this.#alike.set(alikeOf(event), told, event.ktime_ns);
      const { rejected, conntrack } = event.body;
      // An ICMP error quotes what the sender had sent, not what this host made of it, and is not known by that.
      const isTranslated = ((conntrack?.status ?? 0) & (ENTRY.SRC_NAT | ENTRY.DST_NAT)) !== 0;
      if (rejected > 0 || isTranslated) return;
      const answer = told && answerOf(told);
      if (!answer) return;
      const place = placeOf(event, answer);
      const before = this.#unanswered.get(place, event.ktime_ns) ?? 0;
      this.#unanswered.set(place, before + event.occurrences, event.ktime_ns);
    }
  }

  /** Null where the host did not tell. */
  of(event: Event): DroppedBy | null {
    if (event.kind !== 'drop') return null;
    const exactly = this.#exactly(event);
    const told = exactly ?? this.#alike.get(alikeOf(event), event.ktime_ns);
    if (!told) return null;
    const answer = answerOf(told);
    const unanswered = answer ? this.#unanswered.get(placeOf(event, answer), event.ktime_ns) : 0;
    return { ...told, answer, unanswered: unanswered ?? 0, of_another: exactly === null };
  }

  #exactly(event: Event<'drop'>): DropRules | null {
    if (this.#asked?.event === event) return this.#asked.told;
    const id = packetOfRules(event.netns, event.body);
    const told = this.#told.get(id, event.ktime_ns) ?? null;
    this.#asked = { event, told };
    return told;
  }
}

function placeOf(event: Event, answer: number): string {
  return event.kind === 'drop' ? `${event.netns} ${service(event.body.packet.flow)} ${answer}` : '';
}

function alikeOf({ netns, body }: Event<'drop'>): string {
  const { packet, leaves_ifindex, rejected, conntrack } = body;
  const { flow, flags, ifindex } = packet;
  const ends = `${flow.saddr} ${flow.daddr} ${service(flow)}`;
  return `${netns} ${ends} ${flags} ${ifindex} ${leaves_ifindex} ${rejected} ${conntrack?.info ?? ''}`;
}

function answerOf({ rules, others, too_many, legacy_tables }: DropRules): number | null {
  const [first] = rules;
  const isSure = others === 0 && too_many === 0 && legacy_tables.length === 0;
  if (!first || first.answer === 0 || !isSure) return null;
  return rules.every(({ answer }) => answer === first.answer) ? first.answer : null;
}
