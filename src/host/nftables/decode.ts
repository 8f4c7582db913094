// SPDX-License-Identifier: Apache-2.0

import { type Attributes, attributes, listed } from '../netlink.ts';
import { big, big64, string } from './attributes.ts';
import { ALL_REGISTERS, type As, type Given, type Op, type Verdict } from './op.ts';
import { amount, duration } from './values.ts';
import { matchOps, targetOp } from './xtables.ts';

const VERDICT_REGISTER = 0;

/** Registers have 16 bytes where they are numbered from 1 on, and 4 from 8 on, in the same place. */
function word(register: number): number {
  return register < 8 ? register * 4 : register - 4;
}

export function verdictOf(value: Buffer | undefined): Verdict | null {
  if (!value) return null;
  const told = attributes(value);
  return { code: big(told.get(1)) | 0, chain: string(told.get(2)) };
}

/** Most expressions of a ruleset are the same as others of it. */
const decoded = new Map<string, readonly Op[]>();
const MAX_DECODED = 4096;

/** What an expression does: an attribute of a rule's list, without its header. */
export function opsOf(expression: Buffer, family: number): readonly Op[] {
  const id = `${family} ${expression.toString('latin1')}`;
  let ops = decoded.get(id);
  if (!ops) {
    const told = attributes(expression);
    const kind = string(told.get(1));
    const made = DECODERS[kind]?.(attributes(told.get(2)), family) ?? unknownOps(kind);
    ops = Array.isArray(made) ? made : [made];
    // What counters say differs each time.
    if (kind !== 'counter') {
      if (decoded.size >= MAX_DECODED) decoded.clear();
      decoded.set(id, ops);
    }
  }
  return ops;
}

type Decode = (of: Attributes, family: number) => Op | Op[];

const data = (value: Buffer | undefined) => attributes(value).get(1) ?? NOTHING;
const NOTHING = Buffer.alloc(0);
const pass = (text: string) => (): Op => ({ kind: 'pass', text });
const maybe = (text: string) => (): Op => ({ kind: 'maybe', text });
const accepts = (text: string) => (): Op => ({ kind: 'end', text, drops: false });

/** Registers of a range, by the attributes that have them. */
function given(of: Attributes, first: number, last: number): Given | 'own' {
  if (!of.has(first)) return 'own';
  return { from: word(big(of.get(first))), to: of.has(last) ? word(big(of.get(last))) : null };
}

/** Loads what is not known here: which of its attributes has the register, and what nft calls it. */
const loads =
  (
    register: number,
    named: (of: Attributes) => { name: string; as?: As; bytes?: number },
  ): Decode =>
  (of) =>
    of.has(register)
      ? { kind: 'unknown', ...named(of), to: word(big(of.get(register))) }
      : { kind: 'pass', text: `${named(of).name} set` };

const DECODERS: Readonly<Record<string, Decode>> = {
  payload: (of) =>
    of.has(1)
      ? {
          kind: 'payload',
          to: word(big(of.get(1))),
          base: big(of.get(2)),
          offset: big(of.get(3)),
          bytes: big(of.get(4)),
        }
      : { kind: 'pass', text: 'payload set' },
  meta: (of) =>
    of.has(1)
      ? { kind: 'meta', to: word(big(of.get(1))), key: big(of.get(2)) }
      : sets(META_SET[big(of.get(2))] ?? 'meta', of.get(3)),
  ct: (of) =>
    of.has(1)
      ? {
          kind: 'ct',
          to: word(big(of.get(1))),
          key: big(of.get(2)),
          direction: of.get(3)?.[0] ?? null,
        }
      : sets(CT_SET[big(of.get(2))] ?? 'ct', of.get(4)),
  cmp: (of) => ({
    kind: 'cmp',
    from: word(big(of.get(1))),
    op: big(of.get(2)),
    data: data(of.get(3)),
  }),
  range: (of) => ({
    kind: 'range',
    from: word(big(of.get(1))),
    outside: big(of.get(2)) === 1,
    low: data(of.get(3)),
    high: data(of.get(4)),
  }),
  bitwise(of) {
    const to = word(big(of.get(2)));
    // Shifts, and what has a second register.
    if (big(of.get(6)) !== 0) return { kind: 'unknown', name: 'bitwise', to };
    const from = word(big(of.get(1)));
    return { kind: 'bitwise', from, to, mask: data(of.get(4)), xor: data(of.get(5)) };
  },
  lookup: (of) => ({
    kind: 'lookup',
    set: string(of.get(1)),
    from: word(big(of.get(2))),
    to: of.has(3) ? word(big(of.get(3))) : null,
    inverted: (big(of.get(5)) & 1) !== 0,
  }),
  immediate(of) {
    const verdict = verdictOf(attributes(of.get(2)).get(2));
    if (big(of.get(1)) === VERDICT_REGISTER && verdict) return { kind: 'verdict', verdict };
    return { kind: 'value', to: word(big(of.get(1))), data: data(of.get(2)) };
  },
  counter: (of) => ({ kind: 'counter', packets: Number(big64(of.get(2))) }),
  objref: (of) =>
    big(of.get(1)) === OBJECT_QUOTA ||
    big(of.get(1)) === OBJECT_LIMIT ||
    big(of.get(1)) === OBJECT_CONNLIMIT
      ? { kind: 'maybe', text: `${OBJECTS[big(of.get(1))]} name "${string(of.get(2))}"` }
      : {
          kind: 'pass',
          text: `${OBJECTS[big(of.get(1))] ?? 'object'} name "${string(of.get(2))}"`,
        },
  reject(of, family) {
    const type = big(of.get(1));
    if (type === REJECT_RESET)
      return { kind: 'reject', answer: 'reset', with: 'tcp reset', text: '' };
    const code = of.get(2)?.[0] ?? 0;
    const [called, codes] =
      type === REJECT_ANY_ICMP
        ? ['icmpx', ICMPX]
        : family === 10
          ? ['icmpv6', ICMPV6]
          : ['icmp', ICMP];
    return {
      ...{ kind: 'reject', answer: 'icmp', with: `${called} ${codes[code] ?? code}`, text: '' },
      ...(called === 'icmp' && family !== 2 && { with6: `icmpv6 ${ICMPV6[code] ?? code}` }),
    };
  },
  limit(of) {
    const unit = UNITS[Number(big64(of.get(2)))] ?? `${big64(of.get(2))} s`;
    const over = big(of.get(5)) & 1 ? 'over ' : '';
    const [rate, burst] = [big64(of.get(1)), big(of.get(3))];
    const bytes = big(of.get(4)) === 1;
    const most = bytes ? amount(BigInt(burst)) : `${burst} packets`;
    const more = burst === 0 || (!bytes && burst === USUAL_BURST) ? '' : ` burst ${most}`;
    return {
      kind: 'maybe',
      text: `limit rate ${over}${bytes ? amount(rate) : rate}/${unit}${more}`,
    };
  },
  log(of) {
    const level = LEVELS[big(of.get(5))];
    const words = [
      ...(of.has(2) ? [`prefix "${string(of.get(2))}"`] : []),
      ...(of.has(1) ? [`group ${of.get(1)?.readUInt16BE(0)}`] : []),
      ...(of.has(5) && level !== 'warn' ? [`level ${level}`] : []),
    ];
    return { kind: 'pass', text: ['log', ...words].join(' ') };
  },
  notrack: () => ({ kind: 'pass', text: 'notrack', untracks: true }),
  last: pass('last'),
  dup: pass('dup'),
  flow_offload: pass('flow add'),
  nat: (of) =>
    big(of.get(1)) === 0
      ? { kind: 'end', text: 'snat', drops: false }
      : {
          ...{ kind: 'end', text: 'dnat', drops: false },
          sends: { address: given(of, 3, 4), port: given(of, 5, 6) },
        },
  masq: accepts('masquerade'),
  redir: (of) => ({
    ...{ kind: 'end', text: 'redirect', drops: false },
    sends: { address: 'here', port: given(of, 1, 2) },
  }),
  queue: accepts('queue'),
  fwd: accepts('fwd'),
  synproxy: () => ({ kind: 'end', text: 'synproxy', drops: true }),
  tproxy: maybe('tproxy'),
  quota: (of) => ({
    kind: 'maybe',
    text: `quota ${big(of.get(2)) & 1 ? 'over ' : ''}${amount(big64(of.get(1)))}`,
  }),
  connlimit: (of) => ({
    kind: 'maybe',
    text: `ct count ${big(of.get(2)) & 1 ? 'over ' : ''}${big(of.get(1))}`,
  }),
  dynset(of, family) {
    const text = `${['add', 'update', 'delete'][big(of.get(3))] ?? 'update'} @${string(of.get(1))}`;
    const one = of.get(7);
    const expressions = one ? [one] : listed(of.get(10)).map(([, expression]) => expression);
    const kept = expressions
      .flatMap((expression) => opsOf(expression, family))
      .flatMap((op) => (op.kind === 'counter' ? 'counter' : 'text' in op ? op.text : []));
    const timeout = Number(big64(of.get(6)));
    if (timeout > 0) kept.unshift(`timeout ${duration(timeout)}`);
    return { kind: 'maybe', text, adds: { from: word(big(of.get(4))), kept: kept.join(' ') } };
  },
  byteorder: (of) => ({
    ...{ kind: 'unknown', name: 'byteorder', to: word(big(of.get(2))) },
    ...{ of: word(big(of.get(1))), swapped: true },
  }),
  fib: loads(1, (of) => {
    const flags = big(of.get(3));
    const by = FIB_KEYS.filter((_, bit) => flags & (1 << bit)).join(' . ');
    const result = FIB_RESULTS[big(of.get(2))] ?? '?';
    const as = result === 'type' ? 'addrtype' : flags & FIB_PRESENT ? 'exists' : 'host number';
    return { name: `fib ${by} ${result}`, as: result === 'oifname' ? 'name' : as };
  }),
  socket: loads(2, (of) => SOCKET[big(of.get(1))] ?? { name: 'socket' }),
  rt: loads(1, (of) => RT[big(of.get(2))] ?? { name: 'rt' }),
  numgen: loads(1, (of) => ({
    name: `numgen ${big(of.get(3)) === 1 ? 'random' : 'inc'} mod ${big(of.get(2))}`,
    as: 'host number',
  })),
  hash(of) {
    const to = word(big(of.get(2)));
    const mod = `mod ${big(of.get(4))}`;
    if (big(of.get(7)) === 1)
      return { kind: 'unknown', name: `symhash ${mod}`, as: 'host number', to };
    const more = of.has(5) ? `${mod} seed 0x${big(of.get(5)).toString(16)}` : mod;
    const from = word(big(of.get(1)));
    return { kind: 'unknown', name: 'jhash', as: 'host number', to, of: from, more };
  },
  exthdr: loads(1, (of) => extension(of)),
  osf: loads(1, () => ({ name: 'osf name', as: 'name' })),
  xfrm: loads(1, (of) => {
    const at = big(of.get(4)) ? ` spnum ${big(of.get(4))}` : '';
    const { name, as } = IPSEC[big(of.get(2))] ?? { name: '?', as: 'number' };
    return { name: `ipsec ${of.get(3)?.[0] ? 'out' : 'in'}${at} ${name}`, as };
  }),
  tunnel: loads(2, () => ({ name: 'tunnel' })),
  match: (of) => matchOps(string(of.get(1)), big(of.get(2)), of.get(3) ?? NOTHING),
  target: (of, family) => targetOp(string(of.get(1)), big(of.get(2)), of.get(3) ?? NOTHING, family),
};

function sets(name: string, register: Buffer | undefined): Op {
  const as = name.endsWith('mark') ? 'mark' : 'host number';
  return { kind: 'pass', text: `${name} set`, sets: { from: word(big(register)), as } };
}

/** A TCP option or an extension header, or a field of one. */
function extension(of: Attributes): { name: string; as: As; bytes: number } {
  const [type, offset, bytes] = [of.get(2)?.[0] ?? 0, big(of.get(3)), big(of.get(4))];
  const isTcp = big(of.get(6)) === 1;
  const called = (isTcp ? TCP_OPTIONS : EXTENSIONS)[type] ?? String(type);
  const whole = isTcp ? `tcp option ${called}` : called;
  if (big(of.get(5)) & 1) return { name: isTcp ? whole : `exthdr ${whole}`, as: 'exists', bytes };
  const part = isTcp ? TCP_OPTION_FIELDS[`${called} ${offset}`] : undefined;
  return { name: `${whole} ${part ?? `@${offset * 8},${bytes * 8}`}`, as: 'number', bytes };
}

/** Whatever it loads is not known. */
function unknownOps(kind: string): Op[] {
  return [
    { kind: 'unknown', name: kind, to: ALL_REGISTERS },
    { kind: 'maybe', text: kind },
  ];
}

const OBJECT_QUOTA = 2;
const OBJECT_LIMIT = 4;
const OBJECT_CONNLIMIT = 5;
const OBJECTS: Readonly<Record<number, string>> = {
  1: 'counter',
  2: 'quota',
  3: 'ct helper set',
  4: 'limit',
  5: 'ct count',
  7: 'ct timeout set',
};
const UNITS: Readonly<Record<number, string>> = {
  1: 'second',
  60: 'minute',
  3600: 'hour',
  86400: 'day',
  604800: 'week',
};

const REJECT_RESET = 1;
const REJECT_ANY_ICMP = 2;
const ICMP: Readonly<Record<number, string>> = {
  0: 'net-unreachable',
  1: 'host-unreachable',
  2: 'prot-unreachable',
  3: 'port-unreachable',
  9: 'net-prohibited',
  10: 'host-prohibited',
  13: 'admin-prohibited',
};
const ICMPV6: Readonly<Record<number, string>> = {
  0: 'no-route',
  1: 'admin-prohibited',
  3: 'addr-unreachable',
  4: 'port-unreachable',
  5: 'policy-fail',
  6: 'reject-route',
};
const ICMPX: Readonly<Record<number, string>> = {
  0: 'no-route',
  1: 'port-unreachable',
  2: 'host-unreachable',
  3: 'admin-prohibited',
};

/** Which nft does not write. */
const USUAL_BURST = 5;
const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug', 'audit'];
const META_SET: Readonly<Record<number, string>> = {
  2: 'meta priority',
  3: 'meta mark',
  12: 'meta nftrace',
  19: 'meta pkttype',
};
const CT_SET: Readonly<Record<number, string>> = { 3: 'ct mark', 17: 'ct zone' };
const FIB_KEYS = ['saddr', 'daddr', 'mark', 'iif', 'oif'];
const FIB_PRESENT = 32;
const FIB_RESULTS = ['?', 'oif', 'oifname', 'type'];
type Named = { name: string; as: As };
const SOCKET: readonly Named[] = [
  { name: 'socket transparent', as: 'host number' },
  { name: 'socket mark', as: 'mark' },
  { name: 'socket wildcard', as: 'host number' },
  { name: 'socket cgroupv2', as: 'host number' },
];
const RT: readonly Named[] = [
  { name: 'rt classid', as: 'host number' },
  { name: 'rt ip nexthop', as: 'address' },
  { name: 'rt ip6 nexthop', as: 'address6' },
  { name: 'rt mtu', as: 'host number' },
  { name: 'rt ipsec', as: 'exists' },
];
const IPSEC: Readonly<Record<number, Named>> = {
  1: { name: 'ip daddr', as: 'address' },
  2: { name: 'ip6 daddr', as: 'address6' },
  3: { name: 'ip saddr', as: 'address' },
  4: { name: 'ip6 saddr', as: 'address6' },
  5: { name: 'reqid', as: 'host number' },
  6: { name: 'spi', as: 'number' },
};
const TCP_OPTIONS: Readonly<Record<number, string>> = {
  2: 'maxseg',
  3: 'window',
  4: 'sack-perm',
  5: 'sack',
  8: 'timestamp',
  19: 'md5sig',
  30: 'mptcp',
  34: 'fastopen',
};
const TCP_OPTION_FIELDS: Readonly<Record<string, string>> = {
  'maxseg 2': 'size',
  'window 2': 'count',
  'timestamp 2': 'tsval',
  'timestamp 6': 'tsecr',
};
const EXTENSIONS: Readonly<Record<number, string>> = {
  0: 'hbh',
  43: 'rt',
  44: 'frag',
  60: 'dst',
  135: 'mh',
};
