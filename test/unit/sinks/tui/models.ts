// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../../../../src/diagnose/finding.ts';
import type { FindingView, ScreenModel } from '../../../../src/sinks/tui/model.ts';

/** 2026-05-09 18:56:41 UTC. */
export const NOW_NS = Date.UTC(2026, 4, 9, 18, 56, 41) * 1e6;

const FLOW: Finding['flow'] = {
  family: 4,
  saddr: '10.4.26.45',
  sport: 35582,
  daddr: '10.4.26.234',
  dport: 80,
  netns: 4026531840,
};

export function finding(over: Partial<Finding> = {}): Finding {
  return {
    id: 'synack-wrong-source 10.4.26.45:35582 10.4.26.234:80',
    cause: 'synack-wrong-source',
    because: null,
    severity: 'error',
    basis: 'direct',
    title: 'Answered from another address',
    summary: '10.4.26.234:80 was dialled, 10.4.26.11:80 answers: DNAT without reverse NAT',
    subject: 'flow',
    where: '10.4.26.234:80',
    flow: FLOW,
    process: { pid: 8812, comm: 'curl', container: 'frontend-7c9d' },
    count: 2,
    first_ns: NOW_NS - 60e9,
    last_ns: NOW_NS - 1e9,
    evidence: {
      dialled: '10.4.26.234:80',
      answered_by: '10.4.26.11:80',
      isn: 853654705,
      ack: 853654706,
      rst_delay_ns: 15000,
    },
    advice: ['Look for the missing reverse entry: `cilium bpf lb list | grep 10.4.26.234`'],
    events: [2, 5],
    ...over,
  };
}

export function view(over: Partial<Finding> = {}, more: Partial<FindingView> = {}): FindingView {
  return {
    finding: finding(over),
    benign: false,
    rate_per_s: 0.9,
    history: Array.from({ length: 30 }, (_, i) => (i % 7 === 0 ? 1 : 0)),
    flows: [{ text: '10.4.26.45:35582 → 10.4.26.234:80', count: 2, last_ns: NOW_NS - 1e9 }],
    events: [
      {
        seq: 2,
        time_ns: NOW_NS - 646_479_000,
        text: 'reset sent 10.4.26.45:35582 → 10.4.26.11:80',
      },
    ],
    ...more,
  };
}

export const acceptQueue = view(
  {
    id: 'accept-queue-full 10.112.61.163:3269',
    cause: 'accept-queue-full',
    title: 'Accept queue full',
    summary: "mysqld's accept queue on 10.112.61.163:3269 is full (129 of 128): SYNs are dropped",
    subject: 'listener',
    where: '10.112.61.163:3269',
    flow: { ...FLOW, saddr: '10.112.61.163', sport: 3269, daddr: '0.0.0.0', dport: 0 },
    process: { pid: 4242, comm: 'mysqld', container: null },
    count: 1204,
    last_ns: NOW_NS,
    evidence: {
      accept_queue: 129,
      accept_queue_max: 128,
      oldest_waiting_ms: 3210,
      mib_delta: { ListenOverflows: 1204, ListenDrops: 1204 },
    },
    advice: [
      'Raise both limits. `sysctl -w net.core.somaxconn=4096`',
      'See who is slow to accept: `ss -ltnp "sport = :3269"`',
    ],
  },
  { rate_per_s: 48, history: Array.from({ length: 30 }, (_, i) => i) },
);

export const paws = view(
  {
    id: 'paws-passive 172.16.0.13:3306',
    cause: 'paws-passive',
    severity: 'warning',
    title: 'SYN refused by its timestamp',
    where: '172.16.0.13:3306',
    summary: 'SYNs of 100.64.0.1 are older than its last stamp: tcp_tw_recycle=1 behind NAT',
    flow: { ...FLOW, saddr: '100.64.0.1', sport: 41002, daddr: '172.16.0.13', dport: 3306 },
    process: null,
    count: 3631476,
    evidence: { tsval: 271344470, ts_recent: 2088983548, 'net.ipv4.tcp_tw_recycle': 1 },
  },
  { rate_per_s: 812 },
);

export const duplicates = view(
  {
    id: 'benign 10.0.0.5:22',
    cause: 'benign',
    severity: 'info',
    title: 'Ordinary duplicate',
    where: '10.0.0.5:22',
    summary: 'sshd met TCP_OLD_DATA',
    flow: { ...FLOW, saddr: '10.0.0.5', sport: 22, daddr: '10.0.0.9', dport: 51514 },
    process: { pid: 1, comm: 'sshd', container: null },
    count: 412,
  },
  { benign: true },
);

export function model(over: Partial<ScreenModel> = {}): ScreenModel {
  return {
    host: 'db-3',
    kernel: '6.12.9-amd64',
    tier: 'hooks',
    recording: null,
    now_ns: NOW_NS,
    events: 2381,
    events_per_s: 1204,
    lost: 0,
    unexplained: 3,
    benign: 412,
    not_observable: ['synack-unsent', 'tsecr-rejected'],
    findings: [view(), acceptQueue, paws, duplicates],
    ended: false,
    ...over,
  };
}

/** Findings of many flows: `#0` is the most frequent one. */
export function many(n: number): FindingView[] {
  return Array.from({ length: n }, (_, i) =>
    view({ id: `#${i}`, count: n - i, flow: { ...FLOW, sport: 1024 + i } }),
  );
}
