// SPDX-License-Identifier: Apache-2.0

import { AT, bodiesIn } from './sock-diag.ts';

/** How full the accept queue of a listener is. */
export interface AcceptQueue {
  port: number;
  /** Connections that wait for accept(), and how many may. */
  usage: number;
  limit: number;
}

/** Of the answers to LISTENERS. The kernel lets one more wait than the limit. */
export function acceptQueuesIn(answers: readonly Buffer[]): AcceptQueue[] {
  return bodiesIn(answers).map(acceptQueueOf);
}

export function acceptQueueOf(body: Buffer): AcceptQueue {
  return {
    port: body.readUInt16BE(AT.sport),
    usage: body.readUInt32LE(AT.rqueue),
    limit: body.readUInt32LE(AT.wqueue),
  };
}
