// SPDX-License-Identifier: Apache-2.0

import { string } from './attributes.ts';
import { BASE, type End, NFPROTO, type Op, type Test } from './op.ts';

/** Matches and targets of iptables, as iptables-nft keeps them in rules of nf_tables. */

/** A register that rules do not use. */
const SCRATCH = 20;
const DPORT = 2;
const FLAGS = 13;

/** Numbers of structs are of this machine's byte order. */
export function matchOps(name: string, revision: number, info: Buffer): Op[] {
  const ops = MATCHES[name]?.(info, revision);
  return ops ?? [{ kind: 'maybe', text: `xt match "${name}"` }];
}

type Decode = (info: Buffer, revision: number) => Op[] | null;

const test = (text: string, asks: Test): Op[] => [{ kind: 'test', text, test: asks }];

const MATCHES: Readonly<Record<string, Decode>> = {
  comment: (info) => [{ kind: 'pass', text: `comment "${string(info)}"` }],
  tcp(info) {
    if (info.length < 12) return null;
    const inverted = info[11] ?? 0;
    return [
      ...(info[8] === 0 ? [] : [MAYBE_OPTION]),
      ...ports(0, info.readUInt16LE(0), info.readUInt16LE(2), (inverted & 1) !== 0),
      ...ports(DPORT, info.readUInt16LE(4), info.readUInt16LE(6), (inverted & 2) !== 0),
      ...flags(info[9] ?? 0, info[10] ?? 0, (inverted & 4) !== 0),
    ];
  },
  multiport(info, revision) {
    if (revision !== 1 || info.length < 48) return null;
    const ranges = Array.from({ length: Math.min(info[1] ?? 0, 15) }, (_, at) => ({
      port: info.readUInt16LE(2 + 2 * at),
      goes_on: (info[32 + at] ?? 0) !== 0,
    }));
    const inverted = info[47] !== 0;
    const which = info[0];
    const has = (port: number) =>
      ranges.some(({ port: low, goes_on }, at) => {
        if (ranges[at - 1]?.goes_on) return false;
        return goes_on ? port >= low && port <= (ranges[at + 1]?.port ?? low) : port === low;
      });
    const text = ranges.map(({ port, goes_on }) => `${port}${goes_on ? ':' : ','}`).join('');
    const called = which === 0 ? 'sports' : which === 1 ? 'dports' : 'ports';
    return test(`multiport ${inverted ? '! ' : ''}--${called} ${text.slice(0, -1)}`, ({
      sport,
      dport,
    }) => ((which !== 1 && has(sport)) || (which !== 0 && has(dport))) !== inverted);
  },
  conntrack(info, revision) {
    if (revision < 2 || info.length < 154) return null;
    const wanted = info.readUInt16LE(146);
    if (wanted !== CONNTRACK_STATE) return null;
    return states(info.readUInt16LE(150), (info.readUInt16LE(148) & CONNTRACK_STATE) !== 0, 256);
  },
  state: (info) => (info.length < 4 ? null : states(info.readUInt32LE(0), false, 64)),
};

const MAYBE_OPTION: Op = { kind: 'maybe', text: 'tcp option' };

function ports(offset: number, low: number, high: number, outside: boolean): Op[] {
  if (low === 0 && high === 0xffff && !outside) return [];
  const bytes = (port: number) => Buffer.from([port >> 8, port & 0xff]);
  return [
    { kind: 'payload', base: BASE.TRANSPORT, offset, bytes: 2, to: SCRATCH },
    low === high
      ? { kind: 'cmp', from: SCRATCH, op: outside ? 1 : 0, data: bytes(low) }
      : { kind: 'range', from: SCRATCH, outside, low: bytes(low), high: bytes(high) },
  ];
}

function flags(mask: number, wanted: number, outside: boolean): Op[] {
  if (mask === 0) return [];
  const byte = (value: number) => Buffer.from([value]);
  return [
    { kind: 'payload', base: BASE.TRANSPORT, offset: FLAGS, bytes: 1, to: SCRATCH },
    { kind: 'bitwise', from: SCRATCH, to: SCRATCH, mask: byte(mask), xor: byte(0) },
    { kind: 'cmp', from: SCRATCH, op: outside ? 1 : 0, data: byte(wanted) },
  ];
}

const CONNTRACK_STATE = 1;
/** As matches number them; the bit of what is not tracked differs. */
const STATES: readonly [bit: number, called: string][] = [
  [1, 'INVALID'],
  [2, 'ESTABLISHED'],
  [4, 'RELATED'],
  [8, 'NEW'],
];
/** Of `ct state`. */
const UNTRACKED = 64;

function states(mask: number, inverted: boolean, untracked: number): Op[] {
  const called = [...STATES, [untracked, 'UNTRACKED'] as const]
    .filter(([bit]) => mask & bit)
    .map(([, name]) => name);
  // Of translated connections, of which the state does not tell.
  if (mask & ~(15 | untracked)) return [{ kind: 'maybe', text: `ctstate ${called.join(',')}` }];
  return test(`${inverted ? '! ' : ''}ctstate ${called.join(',')}`, ({ state }) => {
    if (state === null) return null;
    const has = state === UNTRACKED ? (mask & untracked) !== 0 : (mask & state) !== 0;
    return has !== inverted;
  });
}

/** Targets after which the packet goes on. */
const GOES_ON: ReadonlySet<string> = new Set([
  ...[
    'AUDIT',
    'CHECKSUM',
    'CLASSIFY',
    'CONNMARK',
    'CONNSECMARK',
    'CT',
    'DSCP',
    'ECN',
    'HL',
    'HMARK',
  ],
  ...['IDLETIMER', 'LED', 'LOG', 'MARK', 'NFLOG', 'NOTRACK', 'RATEEST', 'SECMARK', 'SET', 'TCPMSS'],
  ...['TCPOPTSTRIP', 'TEE', 'TOS', 'TRACE', 'TTL'],
]);
const ENDS: ReadonlySet<string> = new Set([
  ...['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP', 'NFQUEUE'],
]);

/** In the first bits of struct xt_ct_target_info. */
const XT_CT_NOTRACK = 1;

/** By `enum ipt_reject_with` and its twin of IPv6. */
const REJECT_WITH = {
  4: [
    ...['icmp-net-unreachable', 'icmp-host-unreachable', 'icmp-proto-unreachable'],
    ...['icmp-port-unreachable', 'echo-reply', 'icmp-net-prohibited', 'icmp-host-prohibited'],
    ...['tcp-reset', 'icmp-admin-prohibited'],
  ],
  6: [
    ...['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-not-neighbour', 'icmp6-addr-unreachable'],
    ...['icmp6-port-unreachable', 'echo-reply', 'tcp-reset', 'icmp6-policy-fail'],
    ...['icmp6-reject-route'],
  ],
} as const;

export function targetOp(name: string, revision: number, info: Buffer, family: number): Op {
  if (name === 'REJECT' && info.length >= 4) {
    const answers: readonly string[] = REJECT_WITH[family === NFPROTO.IPV6 ? 6 : 4];
    const answer = answers[info.readUInt32LE(0)] ?? 'icmp';
    const isReset = answer === 'tcp-reset';
    const text = `REJECT --reject-with ${answer}`;
    return { kind: 'reject', answer: isReset ? 'reset' : 'icmp', with: answer, text };
  }
  if (name === 'NOTRACK' || (name === 'CT' && (info[0] ?? 0) & XT_CT_NOTRACK))
    return { kind: 'pass', text: 'CT --notrack', untracks: true };
  if (GOES_ON.has(name)) return { kind: 'pass', text: name };
  if (name === 'TPROXY') return { kind: 'end', text: tproxyText(revision, info), drops: true };
  const drops = !ENDS.has(name);
  return TO_DESTINATION.has(name)
    ? { kind: 'end', text: name, drops, sends: endOf(name, revision, info, family) }
    : { kind: 'end', text: name, drops };
}

/** struct xt_tproxy_target_info, whose second version has room for an address of IPv6. It drops what no socket takes. */
function tproxyText(revision: number, info: Buffer): string {
  const port = revision === 0 ? 12 : 24;
  return info.length < port + 2 ? 'TPROXY' : `TPROXY --on-port ${info.readUInt16BE(port)}`;
}

const TO_DESTINATION: ReadonlySet<string> = new Set(['DNAT', 'REDIRECT', 'NETMAP']);
const MAP_ADDRESSES = 1;
const MAP_PORTS = 2;

/**
 * struct nf_nat_range2, or in the first version for IPv4 struct nf_nat_ipv4_multi_range_compat; a range of
 * several is not decided here.
 */
function endOf(name: string, revision: number, info: Buffer, family: number): End | 'anywhere' {
  const width = family === NFPROTO.IPV6 ? 16 : 4;
  const isOld = width === 4 && (name === 'REDIRECT' || revision === 0);
  if (name === 'NETMAP' || info.length < (isOld ? 20 : 40)) return 'anywhere';
  const flags = info.readUInt32LE(isOld ? 4 : 0);
  const [from, to, port] = isOld ? [8, 12, 16] : [4, 20, 36];
  const bytes = (at: number, length: number) => info.subarray(at, at + length);
  if (flags & ~(MAP_ADDRESSES | MAP_PORTS)) return 'anywhere';
  if (flags & MAP_ADDRESSES && !bytes(from, width).equals(bytes(to, width))) return 'anywhere';
  if (flags & MAP_PORTS && !bytes(port, 2).equals(bytes(port + 2, 2))) return 'anywhere';
  const address = flags & MAP_ADDRESSES ? bytes(from, width) : 'own';
  return {
    address: name === 'REDIRECT' ? 'here' : address,
    port: flags & MAP_PORTS ? bytes(port, 2) : 'own',
  };
}
