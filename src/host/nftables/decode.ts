// SPDX-License-Identifier: Apache-2.0

import { type Attributes, attributes } from '../netlink.ts';
import { big, big64, string } from './attributes.ts';
import { ALL_REGISTERS, type Given, type Op, type Verdict } from './op.ts';
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

/** Loads from what is not known here: which of its attributes has the register. */
const loads =
  (name: string, register: number): Decode =>
  (of) =>
    of.has(register)
      ? { kind: 'unknown', name, to: word(big(of.get(register))) }
      : { kind: 'pass', text: `${name} set` };

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
      : { kind: 'pass', text: big(of.get(2)) === 3 ? 'meta mark set' : 'meta set' },
  ct: (of) =>
    of.has(1)
      ? {
          kind: 'ct',
          to: word(big(of.get(1))),
          key: big(of.get(2)),
          direction: of.get(3)?.[0] ?? null,
        }
      : { kind: 'pass', text: 'ct set' },
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
    return { kind: 'reject', answer: 'icmp', with: `${called} ${codes[code] ?? code}`, text: '' };
  },
  limit(of) {
    const unit = UNITS[Number(big64(of.get(2)))] ?? `${big64(of.get(2))} s`;
    const over = big(of.get(5)) & 1 ? 'over ' : '';
    const what = big(of.get(4)) === 1 ? ' bytes' : '';
    return { kind: 'maybe', text: `limit rate ${over}${big64(of.get(1))}${what}/${unit}` };
  },
  log: (of) => ({
    kind: 'pass',
    text: of.has(2) ? `log prefix "${string(of.get(2))}"` : 'log',
  }),
  notrack: pass('notrack'),
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
  quota: maybe('quota'),
  connlimit: (of) => ({
    kind: 'maybe',
    text: `ct count ${big(of.get(2)) & 1 ? 'over ' : ''}${big(of.get(1))}`,
  }),
  dynset: (of) => ({ kind: 'maybe', text: `update @${string(of.get(1))}` }),
  byteorder: loads('byteorder', 2),
  fib: loads('fib', 1),
  socket: loads('socket', 2),
  rt: loads('rt', 1),
  numgen: loads('numgen', 1),
  hash: loads('hash', 2),
  exthdr: loads('exthdr', 1),
  osf: loads('osf', 1),
  xfrm: loads('ipsec', 1),
  tunnel: loads('tunnel', 2),
  match: (of) => matchOps(string(of.get(1)), big(of.get(2)), of.get(3) ?? NOTHING),
  target: (of, family) => targetOp(string(of.get(1)), big(of.get(2)), of.get(3) ?? NOTHING, family),
};

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
