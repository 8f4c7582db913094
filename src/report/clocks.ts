// SPDX-License-Identifier: Apache-2.0

import type { ClockNote } from './model.ts';
import { isForward, type Segments, type Sighting } from './segments.ts';
import { Translations } from './translated.ts';

interface Link {
  /** To be added to the second host's times to have them on the first one's clock: bounds. */
  low_ns: number;
  high_ns: number;
  segments: number;
}

/**
 * What to add to each host's times, so that all are on the clock of the first. A segment arrives after
 * it was sent: each one that both hosts saw bounds the difference of their clocks from one side, as in
 * NTP. Hosts without a segment in common are compared through a third one.
 */
export function compareClocks(
  hosts: readonly { name: string; segments: Segments }[],
  translations = new Translations(hosts),
): ClockNote[] {
  const seen = hosts.map(({ segments }) => seenBy(segments, translations));
  const notes = new Map<number, ClockNote>();
  for (let first = 0; first < hosts.length; first++) {
    if (notes.has(first)) continue;
    // Hosts that share nothing with those before stay on their own clock.
    notes.set(first, first === 0 ? own() : unknown());
    follow(first);
  }
  return hosts.map((_, index) => notes.get(index) ?? unknown());

  /** Those that can be compared with `root`, the best comparison first. */
  function follow(root: number): void {
    const reached = [root];
    for (;;) {
      const next = reached
        .flatMap((from) =>
          hosts.flatMap((_, to) => (notes.has(to) ? [] : [{ from, to, link: linkOf(from, to) }])),
        )
        .filter(({ link }) => link.segments > 0)
        .sort((a, b) => width(a.link) - width(b.link) || b.link.segments - a.link.segments)[0];
      if (!next) return;
      notes.set(next.to, noteOf(next.link, next.from));
      reached.push(next.to);
    }
  }

  function linkOf(from: number, to: number): Link {
    const [a, b] = [seen[from], seen[to]];
    if (!a || !b) return { low_ns: 0, high_ns: 0, segments: 0 };
    return link(a, b);
  }

  function noteOf(found: Link, from: number): ClockNote {
    const { correction_ns, uncertainty_ns } = estimate(found);
    const before = notes.get(from);
    const both = uncertainty_ns !== null;
    const chained = both && before?.uncertainty_ns !== null;
    return {
      basis: both ? 'both' : 'one-way',
      correction_ns: correction_ns + (before?.correction_ns ?? 0),
      uncertainty_ns: chained ? uncertainty_ns + (before?.uncertainty_ns ?? 0) : null,
      segments: found.segments,
      with: hosts[from]?.name ?? null,
    };
  }
}

/** What a host saw of each segment, whatever a translation made of its ends; null: of one that it saw by both. */
type Seen = ReadonlyMap<string, Sighting | null>;

function seenBy({ sightings }: Segments, translations: Translations): Seen {
  const seen = new Map<string, Sighting | null>();
  for (const [id, sighting] of sightings.entries()) {
    const [from = '', to = '', ...numbers] = id.split(' ');
    const same = [translations.endsOf(`${from} ${to}`), ...numbers].join(' ');
    seen.set(same, seen.has(same) ? null : sighting);
  }
  return seen;
}

/** Bounds from the segments that `a` and `b` saw from different ends, each exactly once. */
function link(a: Seen, b: Seen): Link {
  const bounds = {
    low_ns: Number.NEGATIVE_INFINITY,
    high_ns: Number.POSITIVE_INFINITY,
    segments: 0,
  };
  for (const [id, here] of a) {
    const there = b.get(id);
    const way = here && there && wayOf(here, there, id);
    if (!here || !there || !way) continue;
    if (way === 'there') bounds.low_ns = Math.max(bounds.low_ns, here.sent_ns - there.received_ns);
    else bounds.high_ns = Math.min(bounds.high_ns, here.received_ns - there.sent_ns);
    bounds.segments++;
  }
  return bounds;
}

/** Which way it went, where that is known. */
function wayOf(here: Sighting, there: Sighting, id: string): 'here' | 'there' | null {
  // Which of two captures it came to first nobody says; but the other direction came the other way.
  if (here.passed === 1 && there.passed === 1) return isForward(id) ? 'there' : 'here';
  if (leaves(here) && arrives(there)) return 'there';
  return arrives(here) && leaves(there) ? 'here' : null;
}

const leaves = ({ sent, passed }: Sighting) => passed === 1 || sent === 1;
/** Not where it was sent by both, or received by both: a host in the middle, or one kernel watched twice. */
const arrives = ({ sent, received, passed }: Sighting) =>
  passed === 1 || (received === 1 && sent === 0);

function estimate({ low_ns, high_ns }: Link): {
  correction_ns: number;
  uncertainty_ns: number | null;
} {
  if (Number.isFinite(low_ns) && Number.isFinite(high_ns)) {
    return {
      correction_ns: Math.round((low_ns + high_ns) / 2),
      uncertainty_ns: Math.round(Math.abs(high_ns - low_ns) / 2),
    };
  }
  // Of one direction only the bound is known: as if the fastest segment had taken no time.
  return { correction_ns: Number.isFinite(low_ns) ? low_ns : high_ns, uncertainty_ns: null };
}

const width = ({ low_ns, high_ns }: Link) => Math.abs(high_ns - low_ns);

const own = (): ClockNote => ({
  basis: 'own',
  correction_ns: 0,
  uncertainty_ns: 0,
  segments: 0,
  with: null,
});

const unknown = (): ClockNote => ({ ...own(), basis: 'none', uncertainty_ns: null });
