// SPDX-License-Identifier: Apache-2.0

import { Closed, type Connection } from './connection.ts';
import { endOf, otherSide } from './ends.ts';
import type { Followed } from './followed.ts';
import { type Emit, flowOf } from './messages.ts';

const MOST_SHOWN = 32_768;

/** Peers that clients tell by an option, in place of their own address (TOA). */
export class ShownPeers {
  readonly #emit: Emit;
  readonly #followed: Followed;
  /** Open connections by the end that was dialled, and the peer that their client tells. */
  readonly #shown = new Map<string, Connection>();

  constructor(emit: Emit, followed: Followed) {
    this.#emit = emit;
    this.#followed = followed;
  }

  /** Who a host that reads such options shows as its peer, and whether another open one shows it too. */
  opened(connection: Connection, time_ns: number): void {
    const { opener, toa } = connection;
    if (opener === null || connection.toa_told || (!toa && this.#shown.size === 0)) return;
    const server = connection.at(otherSide(opener));
    if (!toa) {
      const other = this.#shown.get(server + connection.at(opener));
      if (other?.toa && other !== connection && !other.over)
        this.#tell(other, connection, time_ns, true);
      return;
    }
    connection.toa_told = true;
    if (toa.port === 0) {
      this.#tell(connection, null, time_ns);
      return;
    }
    const shown = endOf(toa);
    const found = this.#followed.between(shown, server);
    const direct = found instanceof Closed ? undefined : found;
    const as_well = this.#shown.get(server + shown);
    const other = [direct, as_well].find(
      (one) => one && one !== connection && one.open && one.whole && !one.over,
    );
    if (this.#shown.size >= MOST_SHOWN) this.#shown.clear();
    this.#shown.set(server + shown, connection);
    this.#tell(connection, other ?? null, time_ns);
  }

  #tell(connection: Connection, other: Connection | null, time_ns: number, again = false): void {
    const { opener, toa } = connection;
    if (opener === null || !toa) return;
    const side = otherSide(opener);
    this.#emit(
      time_ns,
      {
        told_peer: {
          flow: flowOf(connection.key, side, opener),
          toa,
          ...(other?.opener != null && {
            other: flowOf(other.key, otherSide(other.opener), other.opener),
          }),
          again: again ? 1 : 0,
        },
      },
      connection,
    );
  }

  clear(): void {
    this.#shown.clear();
  }
}
