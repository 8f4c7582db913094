// SPDX-License-Identifier: Apache-2.0

import { type Ends, local, remote } from './endpoint.ts';

/** What `service` of a flow says: 0 where it is not told (bpf/include/service.h). */
const [SERVED_AT_SADDR, SERVED_AT_DADDR] = [1, 2];

/**
 * Whether clients dial saddr:sport, and not daddr:dport: as BPF decided (bpf/include/service.h). Where a
 * recording is too old to tell, it is the end with the lower port.
 */
export function servedAtSource({
  service,
  sport,
  dport,
}: Pick<Ends, 'service' | 'sport' | 'dport'>): boolean {
  return service === 0 ? sport < dport : service === SERVED_AT_SADDR;
}

/** The end that clients dial. */
export function service(flow: Ends): string {
  return servedAtSource(flow) ? local(flow) : remote(flow);
}

/** The same flow from the other end. */
export function reversed({ saddr, sport, daddr, dport, service: told }: Ends): Ends {
  const service = told === 0 ? 0 : told === SERVED_AT_SADDR ? SERVED_AT_DADDR : SERVED_AT_SADDR;
  return { saddr: daddr, sport: dport, daddr: saddr, dport: sport, service };
}
