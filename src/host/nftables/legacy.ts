// SPDX-License-Identifier: Apache-2.0

import { string } from './attributes.ts';
import type { Rules } from './match.ts';
import { BASE, HOOKS, NFPROTO, type Op, VERDICT } from './op.ts';
import type { Rule } from './rule.ts';
import { type Chain, Changed, type Keys } from './ruleset.ts';
import { matchOps, targetOp } from './xtables.ts';

/** struct ipt_getinfo: what hooks there are, where their entries begin, and where their policies are. */
const INFO = { HOOKS: 32, ENTRIES: 36, POLICIES: 56, BYTES: 84 };
/** struct xt_entry_match and struct xt_entry_target before what is their own. */
const EXTENSION = { NAME: 2, REVISION: 31, BYTES: 32 };
const IIFNAME = 6;
const OIFNAME = 7;
const L4PROTO = 16;

interface Layout {
  width: number;
  source: { at: number; mask: number; offset: number };
  destination: { at: number; mask: number; offset: number };
  /** Names of two devices, then their masks. */
  devices: number;
  protocol: number;
  flags: number;
  inverted: number;
  /** Where its target is, and where the next entry; of 16 bits. */
  target: number;
  counters: number;
  matches: number;
  goes: number;
  /** Flags of what is not known of a segment. */
  unknown: number;
}

/** struct ipt_entry and struct ip6t_entry. */
const LAYOUT: Readonly<Record<4 | 6, Layout>> = {
  4: {
    ...{ width: 4, devices: 16, protocol: 80, flags: 82, inverted: 83 },
    ...{ target: 88, counters: 96, matches: 112, goes: 2, unknown: 1 },
    source: { at: 0, mask: 8, offset: 12 },
    destination: { at: 4, mask: 12, offset: 16 },
  },
  6: {
    ...{ width: 16, devices: 64, protocol: 128, flags: 131, inverted: 132 },
    ...{ target: 140, counters: 152, matches: 168, goes: 4, unknown: 2 },
    source: { at: 0, mask: 32, offset: 8 },
    destination: { at: 16, mask: 48, offset: 24 },
  },
};
const INVERTED = { IN: 1, OUT: 2, SOURCE: 8, DESTINATION: 16, PROTOCOL: 64 };

/** By table: when its chains are gone through, among others of their hook. */
const PRIORITIES: Readonly<Record<string, number>> = {
  ...{ raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 },
};

/** A rule of iptables-legacy. Its handle is its number in its chain. */
class Entry implements Rule {
  readonly #bytes: Buffer;
  readonly #family: 4 | 6;
  readonly #chainAt: ReadonlyMap<number, string>;
  readonly handle: string;
  readonly comment = '';
  #ops: Op[] | null = null;

  constructor(bytes: Buffer, family: 4 | 6, number: number, chainAt: ReadonlyMap<number, string>) {
    this.#bytes = bytes;
    this.#family = family;
    this.#chainAt = chainAt;
    this.handle = String(number);
  }

  op(index: number): Op | undefined {
    return this.ops[index];
  }

  get ops(): readonly Op[] {
    this.#ops ??= [...this.#headerOps(), ...this.#matchOps(), ...this.#targetOps()];
    return this.#ops;
  }

  get packets(): number {
    return Number(this.#bytes.readBigUInt64LE(LAYOUT[this.#family].counters));
  }

  #headerOps(): Op[] {
    const layout = LAYOUT[this.#family];
    const bytes = this.#bytes;
    const inverted = bytes[layout.inverted] ?? 0;
    const not = (bit: number) => (inverted & bit ? 1 : 0);
    const address = ({ at, mask, offset }: Layout['source'], op: number): Op[] => {
      const { width } = layout;
      const bits = bytes.subarray(mask, mask + width);
      if (bits.every((byte) => byte === 0)) return [];
      return [
        { kind: 'payload', base: BASE.NETWORK, offset, bytes: width, to: SCRATCH },
        ...(bits.every((byte) => byte === 0xff)
          ? []
          : [masked(bits, Buffer.alloc(width)) satisfies Op]),
        { kind: 'cmp', from: SCRATCH, op, data: bytes.subarray(at, at + width) },
      ];
    };
    const device = (at: number, key: number, op: number): Op[] => {
      const mask = bytes.subarray(at + 2 * DEVICE, at + 3 * DEVICE);
      const end = mask.indexOf(0);
      const length = end < 0 ? DEVICE : end;
      if (length === 0) return [];
      return [
        { kind: 'meta', key, to: SCRATCH },
        { kind: 'cmp', from: SCRATCH, op, data: bytes.subarray(at, at + length) },
      ];
    };
    const protocol = bytes.readUInt16LE(layout.protocol);
    return [
      ...device(layout.devices, IIFNAME, not(INVERTED.IN)),
      ...device(layout.devices + DEVICE, OIFNAME, not(INVERTED.OUT)),
      ...address(layout.source, not(INVERTED.SOURCE)),
      ...address(layout.destination, not(INVERTED.DESTINATION)),
      ...(protocol === 0
        ? []
        : ([
            { kind: 'meta', key: L4PROTO, to: SCRATCH },
            {
              kind: 'cmp',
              from: SCRATCH,
              op: not(INVERTED.PROTOCOL),
              data: Buffer.from([protocol]),
            },
          ] satisfies Op[])),
      ...((bytes[layout.flags] ?? 0) & layout.unknown
        ? [{ kind: 'maybe', text: this.#family === 4 ? 'fragment' : 'tos' } satisfies Op]
        : []),
    ];
  }

  #matchOps(): Op[] {
    const { target, matches } = LAYOUT[this.#family];
    const end = this.#bytes.readUInt16LE(target);
    const ops: Op[] = [];
    for (let at = matches; at + EXTENSION.BYTES <= end; ) {
      const size = this.#bytes.readUInt16LE(at);
      if (size < EXTENSION.BYTES) break;
      const { name, revision, info } = extension(this.#bytes.subarray(at, at + size));
      ops.push(...matchOps(name, revision, info));
      at += size;
    }
    return ops;
  }

  #targetOps(): Op[] {
    const layout = LAYOUT[this.#family];
    const at = this.#bytes.readUInt16LE(layout.target);
    const { name, revision, info } = extension(this.#bytes.subarray(at));
    if (name !== '') return [targetOp(name, revision, info, protocolOf(this.#family))];
    const verdict = info.readInt32LE(0);
    if (verdict < 0) {
      const code = STANDARD[verdict];
      return code === undefined
        ? [{ kind: 'end', text: 'QUEUE', drops: false }]
        : [{ kind: 'verdict', verdict: { code, chain: '' } }];
    }
    const chain = this.#chainAt.get(verdict);
    // Without a target it leads to the next entry.
    if (chain === undefined) return [];
    const goes = ((this.#bytes[layout.flags] ?? 0) & layout.goes) !== 0;
    return [{ kind: 'verdict', verdict: { code: goes ? VERDICT.GOTO : VERDICT.JUMP, chain } }];
  }
}

const DEVICE = 16;
/** A register that rules do not use. */
const SCRATCH = 16;
const STANDARD: Readonly<Record<number, number>> = {
  [-1]: VERDICT.DROP,
  [-2]: VERDICT.ACCEPT,
  [-5]: VERDICT.RETURN,
};

const masked = (mask: Buffer, xor: Buffer): Op => ({
  ...{ kind: 'bitwise', from: SCRATCH, to: SCRATCH },
  ...{ mask, xor },
});

const protocolOf = (family: 4 | 6) => (family === 4 ? NFPROTO.IPV4 : NFPROTO.IPV6);

function extension(bytes: Buffer) {
  return {
    name: string(bytes.subarray(EXTENSION.NAME, EXTENSION.REVISION)),
    revision: bytes[EXTENSION.REVISION] ?? 0,
    info: bytes.subarray(EXTENSION.BYTES),
  };
}

interface Listed {
  rules: Entry[];
  policy: Entry | null;
}

/** Rules of tables of iptables-legacy, as they were read once. */
export class LegacyTables implements Rules {
  readonly #chains = new Map<Chain, Listed>();
  readonly #tables: ReadonlyMap<string, Buffer>;
  readonly #family: 4 | 6;

  /** Of each table what the kernel tells: struct ipt_getinfo, then its entries. */
  constructor(family: 4 | 6, tables: ReadonlyMap<string, Buffer>) {
    this.#family = family;
    this.#tables = tables;
    for (const [name, bytes] of tables) this.#read(name, bytes);
  }

  get chains(): readonly Chain[] {
    return [...this.#chains.keys()];
  }

  chain({ table }: Chain, called: string): Chain | undefined {
    return this.chains.find((one) => one.table === table && one.chain === called);
  }

  rules(chain: Chain): readonly Rule[] {
    return this.#chains.get(chain)?.rules ?? [];
  }

  keysOf(): Keys {
    return { bytes: 0, grows: false, expires: false };
  }

  element(): null {
    return null;
  }

  /** How many packets a rule has met, or the policy of a chain. */
  packets(chain: Chain, rule: Rule | null): number {
    return rule?.packets ?? this.#chains.get(chain)?.policy?.packets ?? 0;
  }

  /** The same of an equal rule of these tables. */
  packetsOfSame({ table, chain }: Chain, rule: Rule | null): number {
    const same = this.chains.find((one) => one.table === table && one.chain === chain);
    if (!same) return 0;
    const { rules = [], policy = null } = this.#chains.get(same) ?? {};
    return (rule ? rules[Number(rule.handle) - 1] : policy)?.packets ?? 0;
  }

  /** Nothing but what is counted has changed since then. */
  follows(earlier: LegacyTables): boolean {
    const family = this.#family;
    return (
      this.#tables.size === earlier.#tables.size &&
      [...this.#tables].every(([name, bytes]) => {
        const other = earlier.#tables.get(name);
        return other !== undefined && uncounted(bytes, family).equals(uncounted(other, family));
      })
    );
  }

  #read(table: string, bytes: Buffer): void {
    if (bytes.length < INFO.BYTES) throw new Changed();
    const family = this.#family;
    const valid = bytes.readUInt32LE(INFO.HOOKS);
    const at = (of: number, hook: number) => bytes.readUInt32LE(of + 4 * hook);
    const entries = bytes.subarray(INFO.BYTES);
    const chainAt = new Map<number, string>();
    let chain: Listed | null = null;
    let policy_at = -1;
    const begin = (called: string, base: Chain['base']): Listed => {
      const listed: Listed = { rules: [], policy: null };
      this.#chains.set({ family: protocolOf(family), table, chain: called, base }, listed);
      return listed;
    };
    for (const [offset, entry, end] of entriesOf(entries, family)) {
      const { name, info } = extension(entry.subarray(entry.readUInt16LE(LAYOUT[family].target)));
      if (name === 'ERROR') {
        const called = string(info);
        chainAt.set(end, called);
        chain = end < entries.length ? begin(called, null) : null;
        continue;
      }
      const hook = HOOKS.findIndex(
        (_, one) => valid & (1 << one) && at(INFO.ENTRIES, one) === offset,
      );
      if (hook >= 0) {
        policy_at = at(INFO.POLICIES, hook);
        const drops = verdictAt(entries, policy_at, family) === VERDICT.DROP;
        const priority = priorityOf(table, hook);
        const type = table === 'nat' ? 'nat' : 'filter';
        const called = (HOOKS[hook] ?? '').toUpperCase();
        chain = begin(called, { hook, priority, type, drops, devices: [] });
      }
      const number = (chain?.rules.length ?? 0) + 1;
      const rule = new Entry(entry, family, number, chainAt);
      if (offset === policy_at && chain) chain.policy = rule;
      else chain?.rules.push(rule);
    }
  }
}

/** Each with where it begins, and where it ends. */
function* entriesOf(bytes: Buffer, family: 4 | 6): Generator<[number, Buffer, number]> {
  const { target, matches } = LAYOUT[family];
  for (let at = 0; at + matches + EXTENSION.BYTES <= bytes.length; ) {
    const size = bytes.readUInt16LE(at + target + 2);
    if (size < matches + EXTENSION.BYTES) throw new Changed();
    yield [at, bytes.subarray(at, at + size), at + size];
    at += size;
  }
}

function uncounted(bytes: Buffer, family: 4 | 6): Buffer {
  const copy = Buffer.from(bytes);
  const { counters } = LAYOUT[family];
  for (const [, entry] of entriesOf(copy.subarray(INFO.BYTES), family))
    entry.fill(0, counters, counters + 16);
  return copy;
}

function verdictAt(entries: Buffer, at: number, family: 4 | 6): number | undefined {
  const target = at + entries.readUInt16LE(at + LAYOUT[family].target);
  return STANDARD[entries.readInt32LE(target + EXTENSION.BYTES)];
}

/** Sources are translated after everything else. */
function priorityOf(table: string, hook: number): number {
  const isSource = table === 'nat' && (hook === 1 || hook === 4);
  return isSource ? 100 : (PRIORITIES[table] ?? 0);
}
