// SPDX-License-Identifier: Apache-2.0

import {
  type Attributes,
  attribute,
  attributes,
  listed,
  type Message,
  messages,
  request,
} from '../netlink.ts';
import { big, name, nested, string } from './attributes.ts';
import { verdictOf } from './decode.ts';
import type { Verdict } from './op.ts';
import { NftRule, type Rule } from './rule.ts';

/** How nf_tables calls families (NFPROTO_*). */
export const FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};

export interface Chain {
  family: number;
  table: string;
  chain: string;
  /** Null: only other chains lead to it. */
  base: { hook: number; priority: number; type: string; drops: boolean; devices: string[] } | null;
}

/** The rules of a chain, in their order, and when they were read. */
interface Read {
  rules: Rule[];
  from_ns: number;
  to_ns: number;
}

/** What keys a set or map has. */
export interface Keys {
  /** Of each; 0: there is no such set. */
  bytes: number;
  /** Packets put some in, or take them out: what is there now was not when another packet came. */
  grows: boolean;
  /** What is not there now may have been until lately. */
  expires: boolean;
}

/** What a set or map has for a key. */
export interface Element {
  verdict: Verdict | null;
  data: Buffer | null;
}

/** What is in a set or map; an `end` is the first key beyond an interval. */
export interface Member {
  key: Buffer;
  end: boolean;
  verdict: Verdict | null;
}

/** Sends netlink messages in the namespace: for each its answer, empty where the kernel refused it. */
export type Ask = (requests: Buffer[]) => Buffer[];

/** NETLINK_NETFILTER. */
export const NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10 << 8;
const GETTABLE = NFNL_SUBSYS_NFTABLES | 1;
const GETCHAIN = NFNL_SUBSYS_NFTABLES | 4;
const GETRULE = NFNL_SUBSYS_NFTABLES | 7;
const GETSET = NFNL_SUBSYS_NFTABLES | 10;
const GETSETELEM = NFNL_SUBSYS_NFTABLES | 13;
const GETGEN = NFNL_SUBSYS_NFTABLES | 16;
/** NFT_SET_TIMEOUT, NFT_SET_EVAL. */
const [SET_WITH_TIMEOUTS, SET_BY_PACKETS] = [0x10, 0x20];
/** struct nfgenmsg. */
const GENMSG = 4;

/** Sets that have more are not told. */
const MAX_MEMBERS = 16;
const MAX_BYTES = 4 << 20;

/** There is more of it than anybody looks through. */
export class TooLarge extends Error {}

/** What is asked for is not there any more. */
export class Changed extends Error {}

/** The rules of a network namespace, as they are until they change. What was read of them is kept. */
export class Nftables {
  readonly #now_ns: () => number;
  readonly #generation: number;
  readonly #chains: Chain[];
  readonly #byName: ReadonlyMap<string, Chain>;
  readonly #keys = new Map<string, Keys>();
  readonly #elements = new Map<string, Element | null>();
  /** By chain. */
  readonly #rules: Map<string, Read>;
  /** As they were read the time before. */
  readonly #before: Map<string, Read>;
  /** Of sets that do not change. */
  readonly #members: Map<string, Member[] | null>;
  #bytes = 0;
  #was_read = true;
  /** Null: they have changed, and nothing more can be known of how they were. */
  #ask: Ask | null;

  /** `earlier`: what was read of the same namespace just before. */
  constructor(ask: Ask, now_ns: () => number, earlier: Nftables | null = null) {
    this.#ask = ask;
    this.#now_ns = now_ns;
    this.#generation = this.#readGeneration();
    if (earlier && this.follows(earlier)) {
      this.#chains = earlier.#chains;
      this.#byName = earlier.#byName;
      this.#rules = earlier.#rules;
      this.#before = earlier.#before;
      this.#members = earlier.#members;
    } else {
      this.#chains = this.#readChains();
      this.#byName = new Map(this.#chains.map((chain) => [idOf(chain, chain.chain), chain]));
      this.#rules = new Map();
      this.#before = new Map();
      this.#members = new Map();
    }
  }

  /** Nothing was changed since then. */
  follows(earlier: Nftables): boolean {
    return earlier.#generation === this.#generation;
  }

  /** What was between the two is not known: more than one transaction, each of which counts one. */
  leavesOut(earlier: Nftables): boolean {
    return this.#generation - earlier.#generation > 1;
  }

  /** Whether something was read since it was asked last. */
  wasRead(): boolean {
    const was = this.#was_read;
    this.#was_read = false;
    return was;
  }

  /** Once they have changed, what was not read of them cannot be asked any more. */
  isSame(): boolean {
    if (this.#ask && this.#readGeneration() !== this.#generation) this.#ask = null;
    return this.#ask !== null;
  }

  get chains(): readonly Chain[] {
    return this.#chains;
  }

  chain(like: Chain, called: string): Chain | undefined {
    return this.#byName.get(idOf(like, called));
  }

  rules(chain: Chain): readonly Rule[] {
    const id = idOf(chain, chain.chain);
    const known = this.#rules.get(id);
    if (known) return known.rules;
    const read = this.#readRules(chain);
    this.#rules.set(id, read);
    return read.rules;
  }

  /** Has what the chain's rules count read anew, where that was before `ktime_ns`, and not just before. */
  count(chain: Chain, ktime_ns: number, holds_ns: number): void {
    const id = idOf(chain, chain.chain);
    const known = this.#rules.get(id);
    if (!known || known.from_ns >= ktime_ns || this.#now_ns() - known.to_ns < holds_ns) return;
    this.#rules.set(id, this.#readRules(chain));
    this.#before.set(id, known);
  }

  /** Its counter tells that the rule met nothing at that time. */
  metNothing(chain: Chain, { handle }: Rule, ktime_ns: number): boolean {
    const id = idOf(chain, chain.chain);
    const counted = (read: Read | undefined) =>
      read?.rules.find((rule) => rule.handle === handle)?.packets ?? null;
    const read = this.#rules.get(id);
    const packets = counted(read);
    if (!read || packets === null || read.from_ns < ktime_ns) return false;
    const before = this.#before.get(id);
    return (
      packets === 0 || (before && before.to_ns <= ktime_ns && counted(before) === packets) === true
    );
  }

  #readRules(chain: Chain): Read {
    const { family, table } = chain;
    const of = [attribute(1, name(table)), attribute(2, name(chain.chain))];
    const from_ns = this.#now_ns();
    this.#was_read = true;
    const rules = this.#messages(ask(GETRULE, family, of)).map(
      ({ body }) => new NftRule(body, GENMSG, family),
    );
    return { rules, from_ns, to_ns: this.#now_ns() };
  }

  keysOf({ family, table }: Chain, set: string): Keys {
    const id = idOf({ family, table }, set);
    let keys = this.#keys.get(id);
    if (keys === undefined) {
      const of = [attribute(1, name(table)), attribute(2, name(set))];
      const [answer] = this.#messages(ask(GETSET, family, of, false));
      const told = attributes(answer?.body, GENMSG);
      const flags = big(told.get(3));
      keys = {
        bytes: big(told.get(5)),
        grows: (flags & SET_BY_PACKETS) !== 0,
        expires: (flags & SET_WITH_TIMEOUTS) !== 0,
      };
      this.#keys.set(id, keys);
    }
    return keys;
  }

  /** Null: it has none for this key. */
  element({ family, table }: Chain, set: string, key: Buffer): Element | null {
    const id = `${family} ${table} ${set} ${key.toString('hex')}`;
    let element = this.#elements.get(id);
    if (element === undefined) {
      const of = (inner: Buffer[]) => [
        attribute(1, name(table)),
        attribute(2, name(set)),
        nested(3, nested(1, ...inner)),
      ];
      const found = (inner: Buffer[]) =>
        elementOf(this.#messages(ask(GETSETELEM, family, of(inner), false))[0]);
      element = found([nested(1, attribute(1, key))]) ?? found([attribute(3, CATCHALL)]);
      this.#elements.set(id, element);
    }
    return element;
  }

  /** Null where there are many, or that is not known. */
  members(chain: Chain, set: string): Member[] | null {
    const id = idOf(chain, set);
    let members = this.#members.get(id);
    if (members === undefined && this.#ask) {
      members = this.#readMembers(chain, set);
      this.#members.set(id, members);
    }
    return members ?? null;
  }

  #readMembers({ family, table }: Chain, set: string): Member[] | null {
    this.#was_read = true;
    const of = [attribute(1, name(table)), attribute(2, name(set))];
    const [told] = this.#messages(ask(GETSET, family, of, false));
    const size = big(attributes(attributes(told?.body, GENMSG).get(9)).get(1));
    if (size === 0 || size > MAX_MEMBERS) return null;
    const members = this.#messages(ask(GETSETELEM, family, of)).flatMap(({ body }) =>
      listed(attributes(body, GENMSG).get(3)).map(([, one]) => memberOf(attributes(one))),
    );
    return members.every((member) => member !== null) ? members : null;
  }

  #readGeneration(): number {
    const [answer] = this.#messages(ask(GETGEN, 0, [], false));
    return big(attributes(answer?.body, GENMSG).get(1));
  }

  #readChains(): Chain[] {
    if (!this.#ask) throw new Changed();
    const [tables = [], chains = []] = this.#ask([ask(GETTABLE, 0, []), ask(GETCHAIN, 0, [])]).map(
      messages,
    );
    const id = (family: number | undefined, table: string) => `${family} ${table}`;
    const dormant = new Set(
      tables.flatMap(({ body }) => {
        const told = attributes(body, GENMSG);
        return big(told.get(2)) & DORMANT ? [id(body[0], string(told.get(1)))] : [];
      }),
    );
    return chains.map(chainOf).filter(({ family, table }) => !dormant.has(id(family, table)));
  }

  #messages(of: Buffer): Message[] {
    if (!this.#ask) throw new Changed();
    const [answer = NOTHING] = this.#ask([of]);
    this.#bytes += answer.length;
    if (this.#bytes > MAX_BYTES) throw new TooLarge();
    return messages(answer);
  }
}

const idOf = ({ family, table }: Pick<Chain, 'family' | 'table'>, called: string) =>
  `${family} ${table} ${called}`;

const NOTHING = Buffer.alloc(0);
const DORMANT = 1;
/** An element for all keys that have none of their own. */
const CATCHALL = Buffer.from([0, 0, 0, 2]);

function ask(type: number, family: number, of: Buffer[], all = true): Buffer {
  return request(type, Buffer.concat([Buffer.from([family, 0, 0, 0]), ...of]), all);
}

function chainOf({ body }: Message): Chain {
  const told = attributes(body, GENMSG);
  const hook = told.get(4) && attributes(told.get(4));
  const devices = hook
    ? [...listed(hook.get(4)).map(([, device]) => device), hook.get(3)].map(string)
    : [];
  return {
    family: body[0] ?? 0,
    table: string(told.get(1)),
    chain: string(told.get(3)),
    base: hook
      ? {
          hook: big(hook.get(1)),
          priority: big(hook.get(2)) | 0,
          type: string(told.get(7)),
          drops: told.has(5) && big(told.get(5)) === 0,
          devices,
        }
      : null,
  };
}

function elementOf(message: Message | undefined): Element | null {
  const [first] = listed(attributes(message?.body, GENMSG).get(3));
  if (!first) return null;
  const data = attributes(attributes(first[1]).get(2));
  return { verdict: verdictOf(data.get(2)), data: data.get(1) ?? null };
}

/** Null where it is more than a key. */
function memberOf(told: Attributes): Member | null {
  const key = attributes(told.get(1)).get(1);
  if (!key || told.has(10)) return null;
  const verdict = verdictOf(attributes(told.get(2)).get(2));
  return { key, end: (big(told.get(3)) & 1) !== 0, verdict };
}
