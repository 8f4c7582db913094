// SPDX-License-Identifier: Apache-2.0

import { type Hook, Matcher, protocolOf, type Rules, type Segment, type Taken } from './match.ts';
import { HOOKS, MAX_DEPTH, NFPROTO, VERDICT } from './op.ts';
import type { Rule } from './rule.ts';
import type { Chain } from './ruleset.ts';

/** What may have dropped it: a rule, or without one the policy of a chain. */
export interface Candidate {
  hook: Hook | 'ingress' | 'egress' | 'bridge';
  chain: Chain;
  rule: Rule | null;
}

/** Rules and policies that may have dropped the segment, as far as can be told; all of them. */
export function droppers(rules: Rules, segment: Segment): Candidate[] {
  return new Walk(rules, segment).all();
}

/** Rules by which connection tracking leaves such a segment alone, or may. */
export function untracking(rules: Rules, segment: Segment): Untracking[] {
  const walk = new Walk(rules, segment);
  walk.all();
  return walk.untracking;
}

interface Untracking extends Candidate {
  sure: boolean;
}

const INET_INGRESS = 5;

/** Of a rule or chain that the segment has come to. */
type Outcome = 'dropped' | 'accepted' | 'goes on';

class Walk {
  readonly #rules: Rules;
  readonly #segment: Segment;
  readonly #found: Candidate[] = [];
  readonly untracking: Untracking[] = [];
  readonly #matcher: Matcher;
  #hook: Candidate['hook'] = 'prerouting';
  /** What is left is not seen: it was dropped for sure. */
  #dropped = false;

  constructor(rules: Rules, segment: Segment) {
    this.#rules = rules;
    this.#segment = segment;
    this.#matcher = new Matcher(rules, segment);
  }

  all(): Candidate[] {
    for (const { hook, chains } of this.#places()) {
      this.#hook = hook;
      this.#dropped = false;
      let at = Number.NEGATIVE_INFINITY;
      for (const chain of chains) {
        // Which of two of the same priority comes first is not told.
        const priority = chain.base?.priority ?? 0;
        if (this.#dropped && priority > at) break;
        at = priority;
        this.#base(chain);
      }
    }
    return this.#found;
  }

  #places(): { hook: Candidate['hook']; chains: Chain[] }[] {
    const own = protocolOf(this.#segment);
    const base = (is: (hook: number, chain: Chain) => boolean) =>
      this.#rules.chains
        .filter((chain) => chain.base && is(chain.base.hook, chain) && this.#sees(chain))
        .sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0));
    const devices = [this.#segment.arrived_on?.name, this.#segment.leaves_by?.name];
    const atDevice = ({ base: at }: Chain) =>
      devices.some((name) => name === null || (name && at?.devices.includes(name)));
    return [
      {
        hook: 'ingress',
        chains: base(
          (hook, chain) =>
            (chain.family === NFPROTO.NETDEV
              ? hook === 0
              : chain.family === NFPROTO.INET && hook === INET_INGRESS) && atDevice(chain),
        ),
      },
      { hook: 'bridge', chains: base((_, { family }) => family === NFPROTO.BRIDGE) },
      ...this.#segment.hooks.map((hook) => ({
        hook,
        chains: base(
          (at, { family }) =>
            (family === own || family === NFPROTO.INET) && at === HOOKS.indexOf(hook),
        ),
      })),
      {
        hook: 'egress',
        chains: base(
          (hook, chain) => chain.family === NFPROTO.NETDEV && hook === 1 && atDevice(chain),
        ),
      },
    ];
  }

  /** Rules that translate see new connections only. */
  #sees({ base }: Chain): boolean {
    const info = this.#segment.conntrack?.info;
    return base?.type !== 'nat' || info === undefined || info === NEW || info % 3 === RELATED;
  }

  #base(chain: Chain): void {
    const sure = { is: true };
    if (this.#chain(chain, true, 0, sure) !== 'goes on') return;
    if (chain.base?.drops) this.#drops(chain, null, sure.is);
  }

  #drops(chain: Chain, rule: Rule | null, sure: boolean): void {
    const known = this.#found.some(
      (one) => one.chain === chain && one.rule === rule && one.hook === this.#hook,
    );
    if (!known) this.#found.push({ hook: this.#hook, chain, rule });
    if (sure) this.#dropped = true;
  }

  /** `passed.is` becomes false where the segment may have been accepted before the chain's end. */
  #chain(chain: Chain, sure: boolean, depth: number, passed: { is: boolean }): Outcome {
    if (depth > MAX_DEPTH) return 'goes on';
    for (const rule of this.#rules.rules(chain)) {
      const { matches, verdict } = this.#matcher.match(chain, rule);
      if (matches !== false && rule.ops.some((op) => op.kind === 'pass' && op.untracks))
        this.untracking.push({
          ...{ hook: this.#hook, chain, rule },
          sure: matches === true && sure && passed.is,
        });
      if (matches === false || verdict === null) continue;
      const surely = sure && matches === true && passed.is;
      const outcome = this.#obey(chain, rule, verdict, surely, depth, passed);
      if (outcome === 'goes on') continue;
      if (matches === true) return outcome === 'returns' ? 'goes on' : outcome;
      if (outcome !== 'dropped') passed.is = false;
    }
    return 'goes on';
  }

  #obey(
    chain: Chain,
    rule: Rule,
    verdict: Taken,
    sure: boolean,
    depth: number,
    passed: { is: boolean },
  ): Outcome | 'returns' {
    if (verdict === 'unknown' || verdict === 'may drop') {
      this.#drops(chain, rule, false);
      passed.is = false;
      return verdict === 'unknown' ? 'goes on' : 'accepted';
    }
    switch (verdict.code) {
      case VERDICT.DROP:
        this.#drops(chain, rule, sure);
        return 'dropped';
      case VERDICT.CONTINUE:
      case VERDICT.BREAK:
        return 'goes on';
      case VERDICT.RETURN:
        return 'returns';
      case VERDICT.JUMP:
      case VERDICT.GOTO: {
        const target = this.#rules.chain(chain, verdict.chain);
        if (!target) return 'goes on';
        const inside = { is: true };
        const outcome = this.#chain(target, sure, depth + 1, inside);
        if (!inside.is) passed.is = false;
        if (outcome !== 'goes on') return outcome;
        return verdict.code === VERDICT.GOTO ? 'returns' : 'goes on';
      }
      default:
        return 'accepted';
    }
  }
}

const [NEW, RELATED] = [2, 1];
