// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';

type Related = Pick<Cause, 'id' | 'supersedes' | 'leadsTo' | 'gives_way'>;

const NONE: ReadonlySet<string> = new Set();

/** Which causes say more of one failure than others do, and which lead to other failures. */
export class Precedence {
  readonly #weaker: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #stronger: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #leading: ReadonlyMap<string, ReadonlySet<string>>;

  constructor(causes: readonly Related[]) {
    const giving_way = new Set(causes.flatMap(({ id, gives_way }) => (gives_way ? [id] : [])));
    const less = ({ supersedes = [], leadsTo = [] }: Related) => [
      ...supersedes,
      ...leadsTo.filter((one) => giving_way.has(one)),
    ];
    this.#stronger = turned(causes, less);
    // Two may have one id: what texts tell of a cause stands for nothing.
    const weaker = new Map<string, Set<string>>();
    for (const cause of causes)
      weaker.set(cause.id, new Set([...(weaker.get(cause.id) ?? NONE), ...less(cause)]));
    this.#weaker = weaker;
    this.#leading = turned(causes, ({ leadsTo }) => leadsTo);
  }

  /** Causes that say less than this one where both are of one failure. */
  weaker(id: string): ReadonlySet<string> {
    return this.#weaker.get(id) ?? NONE;
  }

  /** Causes that say more than this one where both are of one failure. */
  stronger(id: string): ReadonlySet<string> {
    return this.#stronger.get(id) ?? NONE;
  }

  /** Causes that this one may come of. */
  leading(id: string): ReadonlySet<string> {
    return this.#leading.get(id) ?? NONE;
  }
}

/** By each cause that is named: those that name it. */
function turned(
  causes: readonly Related[],
  named: (cause: Related) => Iterable<string> | undefined,
): Map<string, Set<string>> {
  const by = new Map<string, Set<string>>();
  for (const cause of causes) {
    for (const other of named(cause) ?? [])
      by.set(other, (by.get(other) ?? new Set()).add(cause.id));
  }
  return by;
}
