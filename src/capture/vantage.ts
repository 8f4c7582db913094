// SPDX-License-Identifier: Apache-2.0

import { addressText } from '../tcp/address.ts';
import type { Connection } from './connection.ts';
import { addressOf, endOfKey, otherSide, type Side } from './ends.ts';
import type { Segment } from './segment.ts';

/** Where a capture was taken. */
export interface TakenAt {
  /** Addresses of that host, those of most connections first; empty: it is not known. */
  addresses: string[];
  /** What tells it. */
  by: 'direction' | 'ttl' | 'timing' | null;
}

type How = Exclude<TakenAt['by'], null>;

/** What hosts begin with: a packet with less was passed on. */
const INITIAL_TTL: ReadonlySet<number> = new Set([64, 128, 255]);
/** The way to the other end takes so many times as long as the way to this one, and is so long. */
const FARTHER = 10;
const FAR_NS = 200e3;
const MOST_ADDRESSES = 1024;
const MOST_SHOWN = 3;
/** Of a hundred connections: how many may tell otherwise. */
const STRAYS = 5;

/** Which host a capture was taken at: worked out of the handshakes in it. */
export class Vantage {
  /** By address, as it stands in a key. */
  readonly #here = new Map<string, { [By in How]?: number }>();
  readonly #away = new Map<string, number>();

  /** The third segment of a handshake came: when the first two came, and this one. */
  handshake(connection: Connection, syn_ns: number, synAck_ns: number, ack_ns: number): void {
    const { opener } = connection;
    if (opener === null) return;
    const told = sideOf(connection, opener, synAck_ns - syn_ns, ack_ns - synAck_ns);
    if (!told) return;
    const here = connection.ends.addresses.of[told.side];
    const votes = this.#here.get(here) ?? {};
    if (this.#here.size < MOST_ADDRESSES) this.#here.set(here, votes);
    votes[told.by] = (votes[told.by] ?? 0) + 1;
    const other = connection.ends.addresses.of[otherSide(told.side)];
    if (this.#away.size < MOST_ADDRESSES) this.#away.set(other, (this.#away.get(other) ?? 0) + 1);
  }

  /** Where a segment of a connection was captured: 1 at the end `side`, 2 at the other one, 0 where that is not known. */
  endOf({ key, forwarded }: Connection, side: Side, sent: Segment | null): number {
    if (forwarded) return 0;
    if (sent?.outgoing != null) return sent.outgoing ? 1 : 2;
    const { addresses } = this.result();
    const at = (side: Side) => addresses.includes(addressText(addressOf(endOfKey(key, side))));
    return at(side) ? 1 : at(otherSide(side)) ? 2 : 0;
  }

  result(): TakenAt {
    const counted = [...this.#here]
      .map(([address, votes]) => ({
        address,
        count: Object.values(votes).reduce((sum, one) => sum + one, 0),
        votes,
      }))
      .toSorted((a, b) => b.count - a.count);
    // A host that is here for some connections and away for others was passed by, or is both ends.
    const sure = counted.filter(
      ({ address, count }) => (this.#away.get(address) ?? 0) * 100 <= count * STRAYS,
    );
    const [first] = sure;
    if (!first || sure.length < counted.length) return { addresses: [], by: null };
    const by = (['direction', 'ttl', 'timing'] as const).find((one) => first.votes[one]);
    const addresses = sure
      .slice(0, MOST_SHOWN)
      .map(({ address }) => addressText(addressOf(address)));
    return { addresses, by: by ?? null };
  }
}

function sideOf(
  { syn, forwarded, client, server }: Connection,
  opener: Side,
  there_ns: number,
  back_ns: number,
): { side: Side; by: How } | null {
  const other = otherSide(opener);
  if (forwarded || !client || !server) return null;
  if (syn?.outgoing != null) return { side: syn.outgoing ? opener : other, by: 'direction' };
  const [near, far] = [INITIAL_TTL.has(client.ttl), INITIAL_TTL.has(server.ttl)];
  if (near !== far) return { side: near ? opener : other, by: 'ttl' };
  if (there_ns > FAR_NS && there_ns > FARTHER * back_ns) return { side: opener, by: 'timing' };
  if (back_ns > FAR_NS && back_ns > FARTHER * there_ns) return { side: other, by: 'timing' };
  return null;
}
