// SPDX-License-Identifier: Apache-2.0

import { addressBytes, addressText, familyOf, IPV4_AT } from '../../tcp/address.ts';
import { endpoint } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import type { Flow } from '../../wire/types.gen.ts';
import { type Hook, Matcher, protocolOf, type Rules, type Segment, type SentTo } from './match.ts';
import { HOOKS, MAX_DEPTH, NFPROTO, VERDICT, type Verdict } from './op.ts';
import type { Rule } from './rule.ts';
import type { Chain } from './ruleset.ts';

/** Every end that rules at a hook may send a new connection to, as text; empty where that cannot be known. */
export function natEnds(rules: Rules, hook: Hook, flow: Flow): string[] {
  return new Walk(rules, firstSegment(flow, hook)).ends(hook);
}

/** As far as it is known of a connection that was begun before. */
function firstSegment({ saddr, sport, daddr, dport }: Flow, hook: Hook): Segment {
  const family = familyOf(saddr);
  const bytes = (address: string) => addressBytes(address).subarray(family === 4 ? IPV4_AT : 0);
  return {
    ...{ family, saddr: bytes(saddr), daddr: bytes(daddr), sport, dport, hooks: [hook] },
    ...{ flags: TCP_FLAG.syn, seq: null, ack_seq: 0, window: null, ttl: null, payload: null },
    ...{ arrived_on: null, leaves_by: null, conntrack: null },
  };
}

/** What a chain may do with a connection; an end of `null`: it may be any. */
interface Outcome {
  ends: Set<string | null>;
  /** Whether it may leave it to what comes after, in the chain that led to it. */
  passes: boolean;
  /** Whether a rule may do that, before the chain's end. */
  returns: boolean;
  /** Whether it may be accepted as it is. */
  accepts: boolean;
}

class Walk {
  readonly #rules: Rules;
  readonly #segment: Segment;
  readonly #matcher: Matcher;

  constructor(rules: Rules, segment: Segment) {
    this.#rules = rules;
    this.#segment = segment;
    this.#matcher = new Matcher(rules, segment);
  }

  ends(hook: Hook): string[] {
    const ends = new Set<string | null>();
    const own = protocolOf(this.#segment);
    const bases = this.#rules.chains
      .filter(
        ({ base, family }) =>
          base?.type === 'nat' &&
          base.hook === HOOKS.indexOf(hook) &&
          (family === own || family === NFPROTO.INET),
      )
      .sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0));
    let passes = true;
    for (const chain of bases) {
      const outcome = this.#through(chain, 0);
      for (const end of outcome.ends) ends.add(end);
      passes = outcome.passes || outcome.accepts;
      if (!passes) break;
    }
    if (passes) ends.add(this.#end({ address: 'own', port: 'own' }));
    return ends.has(null) ? [] : [...ends].map(String);
  }

  #through(chain: Chain, depth: number): Outcome {
    const outcome: Outcome = { ends: new Set(), passes: true, returns: false, accepts: false };
    if (depth > MAX_DEPTH) outcome.ends.add(null);
    else if (this.#rules.rules(chain).some((rule) => this.#leaves(chain, rule, depth, outcome)))
      outcome.passes = outcome.returns;
    return outcome;
  }

  /** What becomes of it at this rule, which adds to the outcome; whether it has left the chain for sure. */
  #leaves(chain: Chain, rule: Rule, depth: number, outcome: Outcome): boolean {
    const { matches, verdict } = this.#matcher.match(chain, rule);
    if (matches === false || verdict === null) return false;
    if (verdict === 'unknown' || verdict === 'may drop') {
      outcome.ends.add(null);
      return false;
    }
    if ('sent_to' in verdict) {
      outcome.ends.add(verdict.sent_to && this.#end(verdict.sent_to));
      return matches === true;
    }
    return this.#obey(chain, verdict, depth, outcome) && matches === true;
  }

  /** Whether no other rule of the chain is asked. */
  #obey(chain: Chain, { code, chain: to }: Verdict, depth: number, outcome: Outcome): boolean {
    switch (code) {
      case VERDICT.DROP:
        return true;
      case VERDICT.ACCEPT:
        outcome.accepts = true;
        return true;
      case VERDICT.CONTINUE:
      case VERDICT.BREAK:
        return false;
      case VERDICT.JUMP:
      case VERDICT.GOTO: {
        const next = this.#rules.chain(chain, to);
        if (!next) return false;
        const there = this.#through(next, depth + 1);
        for (const end of there.ends) outcome.ends.add(end);
        outcome.accepts ||= there.accepts;
        // What goes to a chain does not come back to this one.
        if (code === VERDICT.GOTO && there.passes) outcome.returns = true;
        return code === VERDICT.GOTO || !there.passes;
      }
      case VERDICT.RETURN:
        outcome.returns = true;
        return true;
      default:
        outcome.ends.add(null);
        return false;
    }
  }

  #end({ address, port }: SentTo): string {
    const { daddr, dport, family } = this.#segment;
    const anywhere = family === 4 ? '0.0.0.0' : '::';
    const host = address === 'here' ? anywhere : textOf(address === 'own' ? daddr : address);
    return endpoint(host, port === 'own' ? dport : port);
  }
}

const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);

/** Of 4 or 16 bytes. */
function textOf(address: Uint8Array): string {
  return addressText(address.length === 4 ? Buffer.concat([MAPPED, address]) : address);
}
