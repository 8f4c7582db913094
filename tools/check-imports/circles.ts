// SPDX-License-Identifier: Apache-2.0

import type { Import } from './imports.ts';

/**
 * The shortest way from each file or folder that leads back to it, once for all that are on it: types
 * count too, and a folder of src imports what its files do.
 */
export function circlesIn(imports: readonly Import[]): string[][] {
  return [
    ...circlesAmong(graphOf(imports, (path) => path)),
    ...circlesAmong(graphOf(imports, part)),
  ];
}

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** `src/known` for src/known/owner, `src/cli` for that; what is not of src stands apart. */
const part = (path: string) => path.match(/^src\/[^/]+/)?.[0] ?? '';

function graphOf(imports: readonly Import[], place: (path: string) => string): Graph {
  const graph = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [a, b] = [place(from), place(to)];
    if (a === '' || b === '' || a === b) continue;
    const known = graph.get(a);
    if (known) known.add(b);
    else graph.set(a, new Set([b]));
  }
  return graph;
}

function circlesAmong(graph: Graph): string[][] {
  const told = new Set<string>();
  return [...graph.keys()].flatMap((start) => {
    const way = told.has(start) ? null : wayBack(graph, start);
    for (const place of way ?? []) told.add(place);
    return way ? [way] : [];
  });
}

function wayBack(graph: Graph, start: string): string[] | null {
  const from = new Map<string, string>();
  const queue = [start];
  for (const place of queue) {
    for (const next of graph.get(place) ?? []) {
      if (next === start) return [...wayTo(from, place), start];
      if (from.has(next)) continue;
      from.set(next, place);
      queue.push(next);
    }
  }
  return null;
}

/** From the beginning of the search. */
function wayTo(from: ReadonlyMap<string, string>, place: string): string[] {
  const before = from.get(place);
  return before === undefined ? [place] : [...wayTo(from, before), place];
}
