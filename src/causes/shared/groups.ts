// SPDX-License-Identifier: Apache-2.0

import { endpoint, local } from '../../tcp/endpoint.ts';
import { servedAtSource } from '../../tcp/service.ts';
import type { Flow, Packet, Sock } from '../../wire/types.gen.ts';
import { ownerOf } from './processes.ts';

/** Of a socket's flow: one group for each service, whether it runs here or is dialled from here. */
export function byService(netns: number, flow: Flow): string {
  const { saddr, sport, daddr, dport } = flow;
  return servedAtSource(flow) ? `${netns} at ${saddr} ${sport}` : `${netns} to ${daddr} ${dport}`;
}

/** The same, and of a service that runs here one for each host that dials it. */
export function byPeer(netns: number, flow: Flow): string {
  const group = byService(netns, flow);
  return servedAtSource(flow) ? `${group} from ${flow.daddr}` : group;
}

/** What is said of a segment that a connection refused: of the connection, for each host that sends to it. */
export function refusedBy(netns: number, { flow, owner }: Sock, packet: Packet) {
  return { ...refusedAt(netns, local(flow), packet), owner: ownerOf(owner) };
}

/** The same where the kernel did not tell whose connection it was: the segment says where it went. */
export function refusedByNobodyKnown(netns: number, packet: Packet) {
  const { daddr, dport } = packet.flow;
  return { ...refusedAt(netns, endpoint(daddr, dport), packet), owner: null };
}

function refusedAt(netns: number, where: string, packet: Packet) {
  const { flow } = packet;
  return { subject: 'flow' as const, where, flow, group: `${netns} ${where} ${flow.saddr}` };
}
