// SPDX-License-Identifier: Apache-2.0

import { type Frame, must, type Socket } from '../native/sockets.ts';
import type { Lab } from './lab.ts';
import { type Parsed, parsePacket } from './packet.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const ETH_P_ALL = 3;
/** Bytes; for more packets than anyone reads. */
const ROOM = 8 << 20;

export type End = 'client' | 'server';

/** A packet of the lab, and at which ends it was seen. */
export interface Sight extends Parsed {
  time_us: number;
  /** Where it left, if that is an end of the lab, and where it came in. */
  from: End | null;
  to: End | null;
}

/** Sees what goes in and out of both ends, as tcpdump would: before netfilter on its way in. */
export class Capture {
  readonly #ears: { end: End; socket: Socket }[];

  constructor(lab: Lab) {
    this.#ears = (['client', 'server'] as const).map((end) => {
      const socket = lab.socket(lab[end], { type: 'packet', protocol: ETH_P_ALL });
      must(socket.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, ROOM), 'setsockopt');
      must(socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1), 'setsockopt');
      return { end, socket };
    });
  }

  /** What was seen so far, in order of time: one for a packet that left here and came in there. */
  take(): Sight[] {
    const frames = this.#ears.flatMap(({ end, socket }) =>
      drain(socket).map((frame) => ({ end, frame })),
    );
    return joined(frames);
  }
}

/** Joins what left at one end with what came in at the other. */
export function joined(frames: { end: End; frame: Frame }[]): Sight[] {
  const sights: Sight[] = [];
  const underWay = new Map<string, Sight[]>();
  for (const { end, frame } of frames.toSorted((a, b) => a.frame.time_us - b.frame.time_us)) {
    const parsed = parsePacket(frame.data);
    if (!parsed) continue;
    const sent = frame.outgoing ? undefined : underWay.get(parsed.id)?.shift();
    if (sent) {
      sent.to = end;
      continue;
    }
    const sight: Sight = {
      ...parsed,
      time_us: frame.time_us,
      from: frame.outgoing ? end : null,
      to: frame.outgoing ? null : end,
    };
    sights.push(sight);
    if (frame.outgoing) underWay.set(parsed.id, [...(underWay.get(parsed.id) ?? []), sight]);
  }
  return sights;
}

function drain(socket: Socket): Frame[] {
  const frames: Frame[] = [];
  for (let frame = socket.receiveFrame(); frame; frame = socket.receiveFrame()) frames.push(frame);
  return frames;
}
