// SPDX-License-Identifier: Apache-2.0

import {
  type Attributes,
  attributes,
  listed,
  type Message,
  messages,
  request,
} from '../netlink.ts';
import { attribute, big, big64, name, nested, string } from './attributes.ts';
import { opsOf, verdictOf } from './decode.ts';
import type { Op, Verdict } from './op.ts';

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

export interface Rule {
  handle: string;
  ops: Op[];
  comment: string;
  /** What its counter says; null: it has none. */
  packets: number | null;
}

/** The rules of a chain, in their order, and when they were read. */
interface Read {
  rules: Rule[];
  from_ns: number;
  to_ns: number;
}

/** What a set or map has for a key. */
export interface Element {
  verdict: Verdict | null;
  data: Buffer | null;
}

/** Sends netlink messages in the namespace: for each its answer, empty where the kernel refused it. */
export type Ask = (requests: Buffer[]) => Buffer[];

const NFNL_SUBSYS_NFTABLES = 10 << 8;
const GETTABLE = NFNL_SUBSYS_NFTABLES | 1;
const GETCHAIN = NFNL_SUBSYS_NFTABLES | 4;
const GETRULE = NFNL_SUBSYS_NFTABLES | 7;
const GETSET = NFNL_SUBSYS_NFTABLES | 10;
const GETSETELEM = NFNL_SUBSYS_NFTABLES | 13;
const GETGEN = NFNL_SUBSYS_NFTABLES | 16;
/** struct nfgenmsg. */
const GENMSG = 4;

const MAX_BYTES = 8 << 20;

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
  readonly #keys = new Map<string, number>();
  readonly #elements = new Map<string, Element | null>();
  /** By chain. */
  readonly #rules = new Map<string, Read>();
  /** As they were read the time before. */
  readonly #before: ReadonlyMap<string, Read>;
  #bytes = 0;
  #was_read = true;
  /** Null: they have changed, and nothing more can be known of how they were. */
  #ask: Ask | null;

  /** `earlier`: what was read of the same namespace before. */
  constructor(ask: Ask, now_ns: () => number, earlier: Nftables | null = null) {
    this.#ask = ask;
    this.#now_ns = now_ns;
    this.#generation = this.#readGeneration();
    this.#before = earlier && this.follows(earlier) ? earlier.#rules : new Map();
    this.#chains = this.#readChains();
    this.#byName = new Map(this.#chains.map((chain) => [idOf(chain, chain.chain), chain]));
  }

  /** Nothing was changed since then. */
  follows(earlier: Nftables): boolean {
    return earlier.#generation === this.#generation;
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
    const { family, table } = chain;
    const id = idOf(chain, chain.chain);
    let read = this.#rules.get(id);
    if (!read) {
      const of = [attribute(1, name(table)), attribute(2, name(chain.chain))];
      const from_ns = this.#now_ns();
      this.#was_read = true;
      const rules = this.#messages(ask(GETRULE, family, of)).flatMap((message) => {
        const told = attributes(message.body, GENMSG);
        const isOf = string(told.get(1)) === table && string(told.get(2)) === chain.chain;
        return isOf ? ruleOf(told, family) : [];
      });
      read = { rules, from_ns, to_ns: this.#now_ns() };
      this.#rules.set(id, read);
    }
    return read.rules;
  }

  /** Its counter tells that the rule met nothing at that time. */
  metNothing(chain: Chain, rule: Rule, ktime_ns: number): boolean {
    const id = idOf(chain, chain.chain);
    const read = this.#rules.get(id);
    if (rule.packets === null || !read || read.from_ns < ktime_ns) return false;
    if (rule.packets === 0) return true;
    const before = this.#before.get(id);
    if (!before || before.to_ns > ktime_ns) return false;
    const counted = before.rules.find(({ handle }) => handle === rule.handle)?.packets;
    return counted === rule.packets;
  }

  /** Bytes of a set's keys; 0: there is no such set. */
  keyBytes({ family, table }: Chain, set: string): number {
    const id = idOf({ family, table }, set);
    let bytes = this.#keys.get(id);
    if (bytes === undefined) {
      const of = [attribute(1, name(table)), attribute(2, name(set))];
      const [answer] = this.#messages(ask(GETSET, family, of, false));
      bytes = big(attributes(answer?.body, GENMSG).get(5));
      this.#keys.set(id, bytes);
    }
    return bytes;
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

function ruleOf(told: Attributes, family: number): Rule {
  const ops = opsOf(told.get(4), family);
  const counter = ops.find((op) => op.kind === 'counter');
  return {
    handle: String(big64(told.get(3))),
    ops,
    comment: commentOf(told.get(7)),
    packets: counter?.packets ?? null,
  };
}

/** What nft keeps beside a rule: bytes of a type, a length, and a value. */
function commentOf(kept: Buffer | undefined): string {
  for (let at = 0; kept && at + 2 <= kept.length; at += 2 + (kept[at + 1] ?? 0)) {
    if (kept[at] === 0) return string(kept.subarray(at + 2, at + 2 + (kept[at + 1] ?? 0)));
  }
  return '';
}

function elementOf(message: Message | undefined): Element | null {
  const [first] = listed(attributes(message?.body, GENMSG).get(3));
  if (!first) return null;
  const data = attributes(attributes(first[1]).get(2));
  return { verdict: verdictOf(data.get(2)), data: data.get(1) ?? null };
}
