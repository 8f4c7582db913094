// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Process } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** Who has a listener open changes, and names of devices do: so long what was told of them holds. */
const HOLDS_NS = 10e9;
/**
 * All files that are open on the host are gone through. After it nobody asks for so many times as long,
 * but that so much of it may be put off: some listeners that begin to refuse at once are all asked for.
 */
const RESTS = 10;
const PUTS_OFF_NS = 5e9;
/** Of devices and of listeners that are remembered. */
const MAX_REMEMBERED = 4096;
const MAX_PROCESSES = 64;

/** struct holder of bpf/include/maps.h. */
const HOLDER_BYTES = 32;
const PID = 8;
const COMM = 16;

/** Where a record has a socket that may be a listener; where one refused somebody its holders are told. */
const PLACES: { readonly [Kind in Layout['kind']]?: { at: readonly number[]; refused: boolean } } =
  {
    socket: { at: [AT.Socket.sock], refused: false },
    state_change: { at: [AT.StateChange.sock], refused: false },
    syn_received: { at: [AT.SynReceived.listener], refused: true },
    drop: { at: [AT.Drop.sock], refused: true },
    reset_sent: { at: [AT.ResetSent.sock, AT.ResetSent.listener], refused: true },
  };

/** Of IPv4 and TCP. */
const LEAST_HEADERS = 40;

const NOTHING: never[] = [];

/** What only the host can tell of a listener that an event names. */
export interface ListenerHost {
  /** Name of a network device in a namespace (inode number), null where it is gone. */
  deviceName(netns: number, ifindex: number): string | null;
  /** What the iterator of open files writes: struct holder, one after another. */
  holders(): Uint8Array;
}

/**
 * Finds of listeners what their sockets do not say: their device's name, and every process that has them
 * open; and the name of a device that a dropped segment was too big for.
 */
export class ListenerFacts {
  readonly #host: ListenerHost;
  readonly #devices = new Map<string, { name: string | null; told_ns: number }>();
  readonly #told_ns = new Map<string, number>();
  #holders = new Map<string, Process[]>();
  #holders_ns = Number.NEGATIVE_INFINITY;
  #rested_ns = 0;
  readonly #cpu_ms: () => number;

  /** `cpu_ms` tells how long the host took. */
  constructor(host: ListenerHost, cpu_ms = thisThread_ms) {
    this.#host = host;
    this.#cpu_ms = cpu_ms;
  }

  /** Facts that the record at `at` needs and that were not told lately, serialized. */
  of(w: Words, at: number, { kind, words }: Layout): Uint8Array[] {
    const places = PLACES[kind];
    if (!places) return NOTHING;
    let facts: Uint8Array[] =
      kind === 'drop' ? [...this.#arrivedOn(w, at), ...this.#tooBig(w, at)] : NOTHING;
    for (const place of places.at) {
      const sock = at + BODY + place;
      // A record may end before.
      if (BODY + place >= words || w[sock + AT.Sock.state] !== TCP_STATE.LISTEN) continue;
      const { ktime_ns, netns } = readCommon(w, at);
      const ifindex = u32(w, sock + AT.Sock.bound_ifindex);
      const device = ifindex === 0 ? null : this.#device(netns, ifindex, ktime_ns);
      const id = u64(w, sock + AT.Sock.id);
      // One that comes or goes is another than whatever was at its address.
      if (kind === 'state_change') this.#told_ns.delete(id);
      const holders = places.refused ? this.#heldBy(id, ktime_ns) : null;
      for (const fact of [device, holders])
        if (fact) facts = [...facts, encodeEvent({ ktime_ns, fact })];
    }
    return facts;
  }

  /** The packet has the name of the device that it is at, which is another than it came in by where it leaves. */
  #arrivedOn(w: Words, at: number): Uint8Array[] {
    const ifindex = u32(w, at + BODY + AT.Drop.packet + AT.Packet.ifindex);
    if (ifindex === 0 || u32(w, at + BODY + AT.Drop.leaves_ifindex) === 0) return NOTHING;
    const { ktime_ns, netns } = readCommon(w, at);
    const fact = this.#device(netns, ifindex, ktime_ns);
    return fact ? [encodeEvent({ ktime_ns, fact })] : NOTHING;
  }

  /** As it was told last; none: it was not. */
  holdersOf(listener: string): readonly Process[] {
    return this.#told_ns.has(listener) ? (this.#holders.get(listener) ?? NOTHING) : NOTHING;
  }

  /** Everything is told again. */
  forget(): void {
    this.#devices.clear();
    this.#told_ns.clear();
  }

  /** The device that a segment is too big for. */
  #tooBig(w: Words, at: number): Uint8Array[] {
    const drop = at + BODY;
    const mtu = u32(w, drop + AT.Drop.route_mtu);
    if (mtu === 0 || u32(w, drop + AT.Drop.packet + AT.Packet.payload_len) + LEAST_HEADERS <= mtu)
      return NOTHING;
    const { ktime_ns, netns } = readCommon(w, at);
    const device = this.#device(netns, u32(w, drop + AT.Drop.route_ifindex), ktime_ns);
    return device ? [encodeEvent({ ktime_ns, fact: device })] : NOTHING;
  }

  #device(netns: number, ifindex: number, ktime_ns: number) {
    const id = `${netns} ${ifindex}`;
    const known = this.#devices.get(id);
    if (known && ktime_ns - known.told_ns < HOLDS_NS) return null;
    const name = this.#host.deviceName(netns, ifindex);
    if (this.#devices.size >= MAX_REMEMBERED) this.#devices.clear();
    this.#devices.set(id, { name, told_ns: ktime_ns });
    return name === null || name === known?.name
      ? null
      : { device: { netns, ifindex, device: name } };
  }

  #heldBy(listener: string, ktime_ns: number) {
    if (ktime_ns - (this.#told_ns.get(listener) ?? Number.NEGATIVE_INFINITY) < HOLDS_NS)
      return null;
    const known = this.#holders.has(listener) && this.#told_ns.has(listener);
    // Whoever begins to refuse meanwhile is told of with what it refuses later.
    if (!known && this.#rested_ns - ktime_ns > PUTS_OFF_NS) return null;
    if (!known || ktime_ns - this.#holders_ns >= HOLDS_NS) {
      const began_ms = this.#cpu_ms();
      this.#holders = parseHolders(this.#host.holders());
      const took_ns = (this.#cpu_ms() - began_ms) * 1e6;
      this.#rested_ns = Math.max(this.#rested_ns, ktime_ns) + RESTS * took_ns;
      this.#holders_ns = ktime_ns;
    }
    if (this.#told_ns.size >= MAX_REMEMBERED) this.#told_ns.clear();
    this.#told_ns.set(listener, ktime_ns);
    const processes = this.#holders.get(listener) ?? [];
    return processes.length === 0
      ? null
      : { holders: { listener, processes: processes.slice(0, MAX_PROCESSES) } };
  }
}

/** Processes by the listener that they have open, each once. */
export function parseHolders(bytes: Uint8Array): Map<string, Process[]> {
  const found = new Map<string, Map<number, Process>>();
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = 0; from + HOLDER_BYTES <= view.length; from += HOLDER_BYTES) {
    const listener = String(view.readBigUInt64LE(from));
    const pid = view.readUInt32LE(from + PID);
    const comm = view.toString('utf8', from + COMM, from + HOLDER_BYTES).replace(/\0.*$/s, '');
    const processes = found.get(listener) ?? new Map<number, Process>();
    found.set(listener, processes.set(pid, { pid, comm }));
  }
  return new Map([...found].map(([listener, by]) => [listener, [...by.values()]]));
}
