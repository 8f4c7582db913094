// SPDX-License-Identifier: Apache-2.0

import { encodeEvent } from '../../../src/wire/decode.ts';
import { AT, BODY, BODY_TAG, WRITTEN } from '../../../src/wire/written.gen.ts';
import type { Layout } from '../../../src/wire/written.ts';

/** Words of a record by their place. */
export type Values = ReadonlyMap<number, number>;

export interface Common {
  ktime_ns: number;
  netns: number;
  key: number;
  occurrences?: number;
}

/** A record as BPF writes it, with its length: tags, what is given, and zeros. */
export function recordOf(kind: Layout['kind'], common: Common, values: Values): Uint8Array {
  const layout = Object.values(WRITTEN).find((one) => one.kind === kind);
  if (!layout) throw new Error(`no layout of ${kind}`);
  const w = new Int32Array(1 + layout.words);
  w[0] = layout.length;
  const set = (at: number, value: number) => {
    w[1 + at] = value;
  };
  for (let i = 0; i < layout.tags.length; i += 2)
    set(layout.tags[i] as number, layout.tags[i + 1] as number);
  set(AT.Event.ktime_ns, common.ktime_ns % 2 ** 32);
  set(AT.Event.ktime_ns + 1, Math.floor(common.ktime_ns / 2 ** 32));
  set(AT.Event.netns, common.netns);
  set(AT.Event.key, common.key);
  set(AT.Event.occurrences, common.occurrences ?? 1);
  for (const [at, value] of values) set(at, value);
  if (w[1 + BODY_TAG] !== layout.tag)
    throw new Error('a value was put where the tag of the body is');
  return new Uint8Array(w.buffer);
}

interface Ends {
  saddr: number;
  sport: number;
  daddr: number;
  dport: number;
  /** 0 unless given: not told. */
  service?: number;
}

/** A Flow that begins at `at`, of IPv4 addresses as numbers. */
export function flowAt(
  at: number,
  { saddr, sport, daddr, dport, service = 0 }: Ends,
): [number, number][] {
  const address = (place: number, value: number): [number, number][] => [
    [place + 2, -65536],
    [
      place + 3,
      ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >> 8) & 0xff00) | (value >>> 24),
    ],
  ];
  return [
    ...address(at + AT.Flow.saddr, saddr),
    ...address(at + AT.Flow.daddr, daddr),
    [at + AT.Flow.sport, sport],
    [at + AT.Flow.dport, dport],
    [at + AT.Flow.service, service],
  ];
}

const PACKET = BODY + AT.ResetSent.packet;
const SOCK = BODY + AT.ResetReceived.sock;
const SYN = 0x02;
const SYN_SENT = 2;

/** A SYN that was answered with a reset. */
export function answered(common: Common, ends: Ends, more: [number, number][] = []): Uint8Array {
  const packet: [number, number][] = [
    ...flowAt(PACKET + AT.Packet.flow, ends),
    [PACKET + AT.Packet.flags, SYN],
    [PACKET + AT.Packet.seq, ends.sport * 7],
    [PACKET + AT.Packet.ttl, 64],
  ];
  return recordOf('reset_sent', common, new Map([...packet, ...more]));
}

/** A connecting socket of process `pid` that believed a reset. */
export function refused(common: Common, ends: Ends, pid: number): Uint8Array {
  return recordOf(
    'reset_received',
    common,
    new Map([
      ...flowAt(SOCK + AT.Sock.flow, ends),
      [SOCK + AT.Sock.state, SYN_SENT],
      [SOCK + AT.Sock.previous_state, SYN_SENT],
      [SOCK + AT.Sock.owner + AT.Owner.pid, pid],
      [SOCK + AT.Sock.owner + AT.Owner.comm, 0x6c727563],
      [BODY + AT.ResetReceived.packet + AT.Packet.ttl, 60 + (ends.sport % 4)],
    ]),
  );
}

/** The SYN of `answered`, freed as dropped. */
export function dropped(common: Common, ends: Ends, reason: number): Uint8Array {
  const packet = BODY + AT.Drop.packet;
  return recordOf(
    'drop',
    common,
    new Map([
      ...flowAt(packet + AT.Packet.flow, ends),
      [packet + AT.Packet.flags, SYN],
      [packet + AT.Packet.seq, ends.sport * 7],
      [BODY + AT.Drop.reason, reason],
    ]),
  );
}

/** A connection that process `pid` closed with a reset. */
export function aborted(common: Common, ends: Ends, pid: number): Uint8Array {
  const sock = BODY + AT.ResetSent.sock;
  return recordOf(
    'reset_sent',
    common,
    new Map([
      ...flowAt(sock + AT.Sock.flow, ends),
      [sock + AT.Sock.state, 7],
      [sock + AT.Sock.owner + AT.Owner.pid, pid],
      [BODY + AT.ResetSent.reason, 1],
    ]),
  );
}

/** A listening socket of process `pid`. */
export function listens(common: Common, saddr: number, sport: number, pid: number): Uint8Array {
  const sock = BODY + AT.Socket.sock;
  return recordOf(
    'socket',
    common,
    new Map([
      ...flowAt(sock + AT.Sock.flow, { saddr, sport, daddr: 0, dport: 0 }),
      [sock + AT.Sock.id, 4096],
      [sock + AT.Sock.state, 10],
      [sock + AT.Sock.owner + AT.Owner.pid, pid],
    ]),
  );
}

export function tickAt(ktime_ns: number): Uint8Array {
  return encodeEvent({ ktime_ns, tick: { lost: [] } });
}
