// SPDX-License-Identifier: Apache-2.0

import type { Cause } from '../causes/define.ts';
import { CameOf } from './came-of.ts';
import { FoundOnConnections } from './found-on-connections.ts';
import type { Occurrence } from './open-finding.ts';
import { Precedence } from './precedence.ts';
import { SameFailure } from './same-failure.ts';
import { SamePacket } from './same-packet.ts';

/**
 * What was found before, for the three ways in which one failure is seen more than once: of one packet, by
 * both ends, and as what came of it. All of it is bounded: the oldest goes first.
 */
export class FoundBefore {
  readonly connections = new FoundOnConnections();
  readonly samePacket = new SamePacket();
  readonly sameFailure: SameFailure;
  readonly cameOf: CameOf;

  /** `sampled` says whether some occurrences of a key were not explained one by one. */
  constructor(causes: readonly Cause[], sampled: (key: string) => boolean) {
    const precedence = new Precedence(causes);
    this.sameFailure = new SameFailure(this.connections, precedence, sampled);
    this.cameOf = new CameOf(this.connections, precedence, sampled);
  }

  add(occurrence: Occurrence): void {
    const found = this.connections.add(occurrence);
    if (!found) return;
    this.sameFailure.add(occurrence, found);
    this.cameOf.add(occurrence, found);
  }
}
