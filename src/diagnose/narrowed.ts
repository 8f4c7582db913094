// SPDX-License-Identifier: Apache-2.0

import type { Event } from '../wire/event.ts';
import { EVENT_KINDS, type EventKind } from '../wire/kinds.gen.ts';
import type { Before, Flow, Totals } from '../wire/types.gen.ts';
import { kindOf } from './kinds.ts';

/** Whether a connection is asked for: by namespace and flow, either end of which may be the local one. */
export type Wanted = (netns: number, flow: Flow) => boolean;

/** What was counted together, and may be of connections that are not asked for. */
interface Counted {
  kind: EventKind;
  /** Records that are asked for, and those that are not. */
  wanted: number;
  others: number;
  /** What all of them stand for, and those of the files before. */
  recorded: number;
  /** The kernel's total, and how much of it belongs to the files before. */
  exact: number;
  before: number;
}

/** Of more keys than these only records are counted, as where others of the same key are not asked for. */
const MOST_KEYS = 200_000;

/**
 * The part of a recording that is asked for, as if only that had been watched. Occurrences that became no
 * record are those of their key: where all its records are asked for they are too, and where none is they
 * are not. Where some are, only what has a record is counted; that there are others is a loss.
 */
export class Narrowed {
  readonly #wanted: Wanted;
  readonly #keys = new Map<string, Counted>();
  readonly #before = new Map<string, { count: number; pending: number }>();
  /** There were others, of which it is not known any more. */
  #before_full = false;
  /** Records that are counted with no others. */
  readonly #apart = new Map<EventKind, number>();
  #undecided = 0;
  #undecided_apart = 0;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** The event as it counts; null where it is not asked for. What is known of the host always is. */
  event(event: Event): Event | null {
    const flows = kindOf(event)
      ?.asked?.(event.body)
      .filter((flow) => flow != null);
    if (!flows || flows.length === 0) return event;
    const wanted = flows.some((flow) => this.#wanted(event.netns, flow));
    if (event.key === '0') {
      if (!wanted) return null;
      this.#apart.set(event.kind, (this.#apart.get(event.kind) ?? 0) + event.occurrences);
      return event;
    }
    if (!this.#hasRoom(event.key)) {
      if (!wanted) return null;
      this.#apart.set(event.kind, (this.#apart.get(event.kind) ?? 0) + 1);
      this.#undecided_apart += event.occurrences - 1;
      return { ...event, key: '0', occurrences: 1 };
    }
    const counted = this.#of(event.key, event.kind);
    counted.recorded += event.occurrences;
    if (!wanted) {
      counted.others++;
      return null;
    }
    counted.wanted++;
    return counted.others > 0 ? { ...event, key: '0', occurrences: 1 } : event;
  }

  before({ keys }: Before): void {
    for (const { key, count, pending } of keys) {
      if (this.#before.size < MOST_KEYS || this.#before.has(key))
        this.#before.set(key, { count, pending });
      else this.#before_full = true;
    }
  }

  /** The exact counts of what is asked for. */
  totals({ keys }: Totals): Totals {
    const kept = keys.filter(({ key, count }) => {
      const counted = this.#keys.get(key);
      if (counted) counted.exact = count;
      return counted && counted.wanted > 0 && counted.others === 0;
    });
    const kinds = new Map(this.#apart);
    for (const counted of this.#keys.values()) {
      const count = countOf(counted);
      if (count > 0) kinds.set(counted.kind, (kinds.get(counted.kind) ?? 0) + count);
    }
    return {
      keys: kept,
      kinds: [...kinds].map(([kind, count]) => ({ kind: EVENT_KINDS[kind], reason: 0, count })),
    };
  }

  /** Occurrences since the last call of which it is not known whether they are asked for. */
  takeUndecided(): number {
    let all = this.#undecided_apart;
    for (const counted of this.#keys.values()) all += undecidedOf(counted);
    const fresh = all - this.#undecided;
    this.#undecided = Math.max(this.#undecided, all);
    return Math.max(0, fresh);
  }

  #hasRoom(key: string): boolean {
    if (this.#keys.has(key)) return true;
    return this.#keys.size < MOST_KEYS && (!this.#before_full || this.#before.has(key));
  }

  #of(key: string, kind: EventKind): Counted {
    let counted = this.#keys.get(key);
    if (!counted) {
      const { count, pending } = this.#before.get(key) ?? { count: 0, pending: 0 };
      const recorded = count - pending;
      counted = { kind, wanted: 0, others: 0, recorded, exact: count, before: count };
      this.#keys.set(key, counted);
    }
    return counted;
  }
}

function allOf({ recorded, exact, before }: Counted): number {
  return Math.max(recorded, exact) - before;
}

function countOf(counted: Counted): number {
  const { wanted, others } = counted;
  return wanted > 0 && others === 0 ? allOf(counted) : wanted;
}

function undecidedOf(counted: Counted): number {
  const { wanted, others } = counted;
  return wanted > 0 && others > 0 ? Math.max(0, allOf(counted) - wanted - others) : 0;
}
