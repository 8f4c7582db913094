// SPDX-License-Identifier: Apache-2.0

export interface Verdict {
  /** NF_DROP, NF_ACCEPT, or one of nf_tables' own. */
  code: number;
  chain: string;
}

export const VERDICT = {
  DROP: 0,
  ACCEPT: 1,
  CONTINUE: -1,
  BREAK: -2,
  JUMP: -3,
  GOTO: -4,
  RETURN: -5,
} as const;

export const NFPROTO = { INET: 1, IPV4: 2, NETDEV: 5, BRIDGE: 7, IPV6: 10 } as const;

/** By enum nf_inet_hooks. */
export const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;

/** As enum nft_payload_bases has them. */
export const BASE = { NETWORK: 1, TRANSPORT: 2 } as const;

/**
 * One step of a rule, with registers counted in words of four bytes. What is not known loads a value
 * that nobody knows (`unknown`), or may end the rule (`maybe`).
 */
export type Op =
  | { kind: 'payload'; base: number; offset: number; bytes: number; to: number }
  | { kind: 'meta'; key: number; to: number }
  | { kind: 'ct'; key: number; direction: number | null; to: number }
  | Unknown
  | { kind: 'value'; to: number; data: Buffer }
  | { kind: 'cmp'; from: number; op: number; data: Buffer }
  | { kind: 'range'; from: number; outside: boolean; low: Buffer; high: Buffer }
  | { kind: 'bitwise'; from: number; to: number; mask: Buffer; xor: Buffer }
  | { kind: 'lookup'; set: string; from: number; to: number | null; inverted: boolean }
  | { kind: 'test'; test: Test; text: string }
  /** `adds`: the register of what it puts into a set, and what is kept of each there. */
  | { kind: 'maybe'; text: string; adds?: { from: number; kept: string } }
  /** `sets`: the register of what it gives to what it names; `untracks`: connection tracking leaves it alone then. */
  | { kind: 'pass'; text: string; sets?: { from: number; as: As }; untracks?: true }
  | { kind: 'counter'; packets: number | null }
  | { kind: 'verdict'; verdict: Verdict }
  /** `with6`: of IPv6, where its table is for both. */
  | { kind: 'reject'; answer: Answer; with: string; with6?: string; text: string }
  /** No later rule of the chain sees the packet; `may drop`: nor does anybody, perhaps. */
  | { kind: 'end'; text: string; drops: boolean; sends?: End | 'anywhere' };

/** What is loaded, and how nft writes it; `of`: it is made of this register, `swapped`: of its bytes the other way round. */
export interface Unknown {
  kind: 'unknown';
  name: string;
  to: number;
  as?: As;
  bytes?: number;
  of?: number;
  swapped?: true;
  /** What nft writes after that of which it is made. */
  more?: string;
}

/** How a value is written. */
export type As =
  | 'address'
  | 'address6'
  | 'number'
  | 'host number'
  | 'hex'
  | 'mark'
  | 'name'
  | 'device'
  | 'state'
  | 'status'
  | 'direction'
  | 'flags'
  | 'protocol'
  | 'family'
  | 'ethertype'
  | 'mac'
  | 'exists'
  | 'addrtype'
  | 'iftype'
  | 'pkttype'
  | 'priority'
  | 'dscp'
  | 'duration'
  | 'day'
  | 'hour'
  | 'time';

/** Where a destination is translated to: `own` stays as it is, `here` is whatever address this host has. */
export interface End {
  address: Given | 'own' | 'here';
  port: Given | 'own';
}

/** A value, or the registers that have the first and the last of a range; `to` null: there is but one. */
export type Given = Buffer | { from: number; to: number | null };

/** As deep as the kernel follows jumps. */
export const MAX_DEPTH = 16;

export type Answer = 'reset' | 'icmp';

/** What matches of iptables ask of a packet; null: not known. */
export type Test = (packet: {
  sport: number;
  dport: number;
  state: number | null;
}) => boolean | null;

/** In place of a register. */
export const ALL_REGISTERS = -1;
