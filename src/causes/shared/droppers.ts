// SPDX-License-Identifier: Apache-2.0

import type { Hooked } from '../../wire/types.gen.ts';
import { functionOf, NO_REASON } from './kernel.ts';

/** What drops segments at a device or a socket, beside TCP, routing and netfilter. */
export type Dropper =
  | 'xdp'
  | 'tc'
  | 'tc ingress'
  | 'tc egress'
  | 'redirect'
  | 'qdisc'
  | 'cgroup egress'
  | 'socket filter'
  | 'sockmap'
  | 'device';

const BY_REASON: Readonly<Record<string, Dropper>> = {
  XDP: 'xdp',
  TC_INGRESS: 'tc ingress',
  TC_EGRESS: 'tc egress',
  TC_CHAIN_NOTFOUND: 'tc',
  TC_COOKIE_ERROR: 'tc',
  TC_RECLASSIFY_LOOP: 'tc',
  BPF_CGROUP_EGRESS: 'cgroup egress',
  SOCKET_FILTER: 'socket filter',
  DEV_READY: 'device',
  QDISC_DROP: 'qdisc',
  QDISC_BURST_DROP: 'qdisc',
  QDISC_CONGESTED: 'qdisc',
  QDISC_OVERLIMIT: 'qdisc',
  CAKE_FLOOD: 'qdisc',
  DUALPI2_STEP_DROP: 'qdisc',
  FQ_BAND_LIMIT: 'qdisc',
  FQ_FLOW_LIMIT: 'qdisc',
  FQ_HORIZON_LIMIT: 'qdisc',
};

/** Functions that free what a program or a qdisc drops, where the kernel gives no reason. */
const BY_FUNCTION: Readonly<Record<string, Dropper>> = {
  // What leaves by a device without a queue that is down.
  __dev_queue_xmit: 'device',
  // The other end of a pair that is down, or has a smaller MTU.
  __dev_forward_skb: 'device',
  __dev_forward_skb2: 'device',
  noop_enqueue: 'qdisc',
  // What a program at tc sends to a device that is gone or down, or to a next hop that cannot be had.
  skb_do_redirect: 'redirect',
  __bpf_redirect: 'redirect',
  __bpf_redirect_neigh: 'redirect',
  __bpf_redirect_neigh_v4: 'redirect',
  __bpf_redirect_neigh_v6: 'redirect',
  do_xdp_generic: 'xdp',
  netif_receive_generic_xdp: 'xdp',
  bpf_prog_run_generic_xdp: 'xdp',
  veth_xdp_rcv_skb: 'xdp',
  veth_xdp_rcv: 'xdp',
  veth_poll: 'xdp',
  sk_psock_verdict_recv: 'sockmap',
  sk_psock_verdict_apply: 'sockmap',
  sk_psock_skb_redirect: 'sockmap',
  codel_qdisc_dequeue: 'qdisc',
  fq_codel_dequeue: 'qdisc',
  fq_codel_enqueue: 'qdisc',
  pie_qdisc_enqueue: 'qdisc',
};

/** The same on kernels that give no reasons at all, where these functions drop little else. */
const WITHOUT_REASONS: Readonly<Record<string, Dropper>> = {
  sch_handle_ingress: 'tc ingress',
  __netif_receive_skb_core: 'tc ingress',
  sch_handle_egress: 'tc egress',
  __dev_queue_xmit: 'tc egress',
  kfree_skb_list: 'qdisc',
};

/** Which of them a drop is of, by its reason and the function that freed the segment; null: of none. */
export function dropper(
  reason: string,
  at: string | undefined,
  hasReasons: boolean,
): Dropper | null {
  const known = BY_REASON[reason];
  if (known || reason !== NO_REASON) return known ?? null;
  const name = functionOf(at);
  return (hasReasons ? null : WITHOUT_REASONS[name]) ?? BY_FUNCTION[name] ?? null;
}

/** `lab_policy (id 5)`, with a filter's priority. */
export function programText({ program, program_id, priority }: Hooked): string {
  const id = `id ${program_id}${priority === 0 ? '' : `, pref ${priority}`}`;
  return program === '' ? `without a name (${id})` : `${program} (${id})`;
}
