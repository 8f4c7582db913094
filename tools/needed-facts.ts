// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../src/wire/event.ts';
import type { HostFact } from '../src/wire/types.gen.ts';

type Needs = {
  [Name in keyof HostFact]: (fact: NonNullable<HostFact[Name]>, events: Kept) => boolean;
};

/** Events that are kept, their bodies as text, and the facts of all. */
interface Kept {
  events: readonly Event[];
  said: string;
  facts: readonly Event<'fact'>[];
}

const has = ({ events }: Kept, kind: Event['kind']) => events.some((one) => one.kind === kind);
const isThere = ({ netns }: { netns: number }, { events }: Kept) =>
  events.some((one) => one.netns === netns);

/** Whether the events that are kept need what the host told, of each thing that it tells. */
const NEEDS: Needs = {
  symbol: ({ address }, { said }) => said.includes(`"${address}"`),
  cgroup: ({ id }, { said }) => said.includes(`"cgroup":"${id}"`),
  peer_rewriter: (_, kept) => has(kept, 'peer_name'),
  clock: () => false,
  device: isThere,
  holders: ({ listener }, { said }) => said.includes(`"${listener}"`),
  device_hooks: isThere,
  socket_hooks: ({ cgroup }, { said }) => said.includes(`"cgroup":"${cgroup}"`),
  orphans: (_, kept) => has(kept, 'reset_sent'),
  connect_asked: ({ key }, { events }) => events.some((one) => one.key === key),
  drop_rules: ({ netns, flow }, { events }) =>
    events.some(
      (one) =>
        one.netns === netns &&
        one.kind === 'drop' &&
        one.body.packet.flow.sport === flow.sport &&
        one.body.packet.flow.dport === flow.dport,
    ),
  nat_now: isThere,
  table_users: isThere,
  lookup_hooks: isThere,
  process: ({ pid }, kept) => kept.said.includes(`"pid":${pid},`) || isHolder(pid, kept),
  tracking_limits: isThere,
  neighbour_table: (_, kept) => has(kept, 'drop'),
  process_cgroup: ({ pid }, { said }) => said.includes(`"pid":${pid},`),
  namespace: ({ netns }, { events, facts }) =>
    events.some((one) => one.netns === netns) ||
    facts.some(({ body: { host_address } }) => host_address?.netns.includes(netns)),
  host_address: ({ addr }, { said }) => said.includes(`"${addr}"`),
  container: ({ container_id }, { facts }) =>
    facts.some(({ body: { cgroup, process_cgroup, namespace } }) =>
      [cgroup, process_cgroup, namespace].some((one) => one?.path.includes(container_id)),
    ),
  told_by_texts: (_, kept) => has(kept, 'unanswered'),
};

function isHolder(pid: number, kept: Kept): boolean {
  return kept.facts.some(
    ({ body: { holders } }) =>
      holders?.processes.some((process) => process.pid === pid) && NEEDS.holders(holders, kept),
  );
}

/** Of all events the facts that these need. */
export function neededFacts(all: readonly Event[], events: readonly Event[]): Set<Event> {
  const facts = all.filter((one): one is Event<'fact'> => one.kind === 'fact');
  const kept = { events, said: JSON.stringify(events.map(({ body }) => body)), facts };
  const isNeeded = <Name extends keyof HostFact>(name: Name, fact: HostFact) => {
    const told = fact[name];
    return (
      told !== null && told !== undefined && NEEDS[name](told as NonNullable<HostFact[Name]>, kept)
    );
  };
  const names = Object.keys(NEEDS) as (keyof HostFact)[];
  return new Set(facts.filter(({ body }) => names.some((name) => isNeeded(name, body))));
}
