// SPDX-License-Identifier: Apache-2.0

import { attribute, attributes } from '../../../../src/host/netlink.ts';
import { name, nested } from '../../../../src/host/nftables/attributes.ts';
import type { Segment } from '../../../../src/host/nftables/match.ts';
import { VERDICT } from '../../../../src/host/nftables/op.ts';
import type { Ask } from '../../../../src/host/nftables/ruleset.ts';

/** A ruleset as nf_tables tells of it. */
export interface Told {
  generation: number;
  chains: ToldChain[];
  sets?: { [name: string]: { bytes: number; flags?: number; elements: { [key: string]: Buffer } } };
}

export interface ToldChain {
  chain: string;
  hook?: number;
  priority?: number;
  drops?: boolean;
  rules: Buffer[][];
  family?: number;
}

const [GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM, GETGEN] = [1, 4, 7, 10, 13, 16];
const INET = 1;
/** What a rule sees of a SYN that arrives by a device, but for whose it is. */
export const ARRIVING_SYN = {
  sport: 40_000,
  dport: 80,
  flags: 2,
  seq: 1,
  ack_seq: 0,
  window: 64_240,
  ttl: 64,
  payload: 0,
  hooks: ['input'],
  arrived_on: { ifindex: 2, name: 's0' },
  leaves_by: { ifindex: 0, name: '' },
  conntrack: { info: 2, status: 0 },
} satisfies Partial<Segment>;

export const TABLE = 'filter';

export const be32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
const be64 = (value: number) => Buffer.concat([be32(0), be32(value)]);

function message(family: number, ...inner: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([family, 0, 0, 0]), ...inner]);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  return Buffer.concat([header, body]);
}

/** Answers as the kernel would; `asked` has the types of what was asked for. */
export function kernel(told: () => Told, asked: number[] = []): Ask {
  return (requests) =>
    requests.map((bytes) => {
      const { generation, chains, sets = {} } = told();
      const type = bytes.readUInt16LE(4) & 0xff;
      const of = attributes(bytes.subarray(16), 4);
      const second = of.get(2)?.toString('utf8').replace(/\0.*$/s, '') ?? '';
      asked.push(type);
      switch (type) {
        case GETGEN:
          return message(0, attribute(1, be32(generation)));
        case GETTABLE:
          return message(INET, attribute(1, name(TABLE)), attribute(2, be32(0)));
        case GETCHAIN:
          return Buffer.concat(chains.map(chainMessage));
        case GETRULE:
          return Buffer.concat(
            chains.filter(({ chain }) => chain === second).flatMap(ruleMessages),
          );
        case GETSET: {
          const set = sets[second];
          return set
            ? message(INET, attribute(3, be32(set.flags ?? 0)), attribute(5, be32(set.bytes)))
            : Buffer.alloc(0);
        }
        case GETSETELEM: {
          const [element] = [...attributes(of.get(3)).values()];
          const key = attributes(attributes(element).get(1)).get(1)?.toString('hex') ?? '*';
          const data = sets[second]?.elements[key];
          return data ? message(INET, nested(3, nested(1, nested(2, data)))) : Buffer.alloc(0);
        }
        default:
          return Buffer.alloc(0);
      }
    });
}

function chainMessage({ chain, hook, priority = 0, drops, family = INET }: ToldChain): Buffer {
  const base =
    hook === undefined
      ? []
      : [
          nested(4, attribute(1, be32(hook)), attribute(2, be32(priority))),
          attribute(5, be32(drops ? 0 : 1)),
          attribute(7, name('filter')),
        ];
  return message(family, attribute(1, name(TABLE)), attribute(3, name(chain)), ...base);
}

function ruleMessages({ chain, rules, family = INET }: ToldChain): Buffer[] {
  return rules.map((expressions, index) =>
    message(
      family,
      attribute(1, name(TABLE)),
      attribute(2, name(chain)),
      attribute(3, be64(index + 1)),
      nested(4, ...expressions),
    ),
  );
}

export const expression = (kind: string, ...inner: Buffer[]) =>
  nested(1, attribute(1, name(kind)), nested(2, ...inner));
const value = (data: Buffer) => attribute(1, data);

export const payload = (base: number, offset: number, bytes: number) =>
  expression(
    'payload',
    attribute(1, be32(1)),
    attribute(2, be32(base)),
    attribute(3, be32(offset)),
    attribute(4, be32(bytes)),
  );
export const meta = (key: number) =>
  expression('meta', attribute(1, be32(1)), attribute(2, be32(key)));
export const ct = (key: number) => expression('ct', attribute(1, be32(1)), attribute(2, be32(key)));
export const cmp = (data: Buffer, op = 0) =>
  expression('cmp', attribute(1, be32(1)), attribute(2, be32(op)), nested(3, value(data)));
/** To the network's order. */
export const byteorder = () =>
  expression('byteorder', attribute(1, be32(1)), attribute(2, be32(1)), attribute(3, be32(1)));
export const bitwise = (mask: Buffer) =>
  expression(
    'bitwise',
    attribute(1, be32(1)),
    attribute(2, be32(1)),
    attribute(3, be32(mask.length)),
    nested(4, value(mask)),
    nested(5, value(Buffer.alloc(mask.length))),
  );
export const lookup = (set: string, to?: number) =>
  expression(
    'lookup',
    attribute(1, name(set)),
    attribute(2, be32(1)),
    ...(to === undefined ? [] : [attribute(3, be32(to))]),
  );
export const counter = (packets: number) =>
  expression('counter', attribute(1, be64(0)), attribute(2, be64(packets)));
export const limit = () =>
  expression('limit', attribute(1, be64(3)), attribute(2, be64(1)), attribute(5, be32(1)));
export const reject = (type: number, code = 0) =>
  expression('reject', attribute(1, be32(type)), attribute(2, Buffer.from([code])));

export const verdictData = (code: keyof typeof VERDICT, chain = '') =>
  nested(
    2,
    attribute(1, be32(VERDICT[code])),
    ...(chain === '' ? [] : [attribute(2, name(chain))]),
  );
export const verdict = (code: keyof typeof VERDICT, chain = '') =>
  expression('immediate', attribute(1, be32(0)), nested(2, verdictData(code, chain)));

export const port = (number: number) => Buffer.from([number >> 8, number & 0xff]);
export const dport = (number: number) => [payload(2, 2, 2), cmp(port(number))];
