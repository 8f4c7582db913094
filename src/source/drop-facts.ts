// SPDX-License-Identifier: Apache-2.0

import { type Dropper, dropper } from '../causes/shared/droppers.ts';
import { NO_REASON } from '../causes/shared/kernel.ts';
import { isUnanswered } from '../causes/shared/neighbours.ts';
import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { DeviceHooks, LookupHooks, SocketHooks } from '../wire/types.gen.ts';
import { text, u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** Programs, filters and qdiscs come and go: so long what was told of a device holds. */
const HOLDS_NS = 1e9;
/** After asking for what a device has nobody asks for so many times as long. */
const RESTS = 10;
const MAX_REMEMBERED = 4096;

const OF_SOCKETS: ReadonlySet<Dropper> = new Set(['cgroup egress', 'socket filter', 'sockmap']);

const NOTHING: never[] = [];

/** What only the host can tell of a drop. */
export interface DropHost {
  dropReason(reason: number): string;
  hasDropReasons: boolean;
  symbol(address: string): string | undefined;
  /** Null where the device or its namespace is gone. */
  deviceHooks(netns: number, device: string): DeviceHooks | null;
  /** `by` tells which programs may have dropped it. */
  socketHooks(by: Dropper, cgroup: string, socket_filter_id: number): SocketHooks;
  /** Null where the namespace is gone. */
  lookupHooks(netns: number): LookupHooks | null;
}

/** Finds what may have dropped a segment at a device, when one was dropped there, or kept it from its listener. */
export class DropFacts {
  readonly #host: DropHost;
  /** By device, or by cgroup and filter: what was told, and until when it holds. */
  readonly #told = new Map<string, { fact: string; until_ns: number }>();
  readonly #cpu_ms: () => number;

  constructor(host: DropHost, cpu_ms = thisThread_ms) {
    this.#host = host;
    this.#cpu_ms = cpu_ms;
  }

  /** Facts that the record at `at` needs and that were not told lately, serialized. */
  of(w: Words, at: number, { kind, words }: Layout): Uint8Array[] {
    const body = at + BODY;
    if (kind === 'reset_sent') return this.#ofRefusal(w, at, words);
    if (kind !== 'drop') return NOTHING;
    const reason = this.#host.dropReason(u32(w, body + AT.Drop.reason));
    const location = body + AT.Drop.location;
    const symbol = reason === NO_REASON ? this.#host.symbol(u64(w, location)) : undefined;
    const by = dropper(reason, symbol, this.#host.hasDropReasons);
    if (by === null && !isUnanswered(reason, symbol)) return NOTHING;
    const device = text(w, body + AT.Drop.packet + AT.Packet.device);
    const { ktime_ns, netns } = readCommon(w, at);
    if (by !== null && OF_SOCKETS.has(by)) {
      const cgroup = u64(w, body + AT.Drop.cgroup);
      const id = u32(w, body + AT.Drop.socket_filter_id);
      const socket_hooks = this.#asked(`${by} ${cgroup} ${id}`, ktime_ns, () =>
        this.#host.socketHooks(by, cgroup, id),
      );
      return socket_hooks ? [encodeEvent({ ktime_ns, fact: { socket_hooks } })] : NOTHING;
    }
    if (device === '') return NOTHING;
    const device_hooks = this.#asked(`${netns} ${device}`, ktime_ns, () =>
      this.#host.deviceHooks(netns, device),
    );
    return device_hooks ? [encodeEvent({ ktime_ns, fact: { device_hooks } })] : NOTHING;
  }

  /** No socket was found for what a listener waits for. */
  #ofRefusal(w: Words, at: number, words: number): Uint8Array[] {
    const listener = BODY + AT.ResetSent.listener + AT.Sock.id;
    // A record may end before.
    if (listener + 1 >= words || u64(w, at + listener) === '0') return NOTHING;
    const { ktime_ns, netns } = readCommon(w, at);
    const lookup_hooks = this.#asked(`sk_lookup ${netns}`, ktime_ns, () =>
      this.#host.lookupHooks(netns),
    );
    return lookup_hooks ? [encodeEvent({ ktime_ns, fact: { lookup_hooks } })] : NOTHING;
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }

  /** Null where it was told lately, and is the same. */
  #asked<Told>(id: string, ktime_ns: number, ask: () => Told | null): Told | null {
    const known = this.#told.get(id);
    if (known && ktime_ns < known.until_ns) return null;
    const began_ms = this.#cpu_ms();
    const found = ask();
    const took_ns = (this.#cpu_ms() - began_ms) * 1e6;
    const fact = JSON.stringify(found);
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    this.#told.set(id, { fact, until_ns: ktime_ns + Math.max(HOLDS_NS, RESTS * took_ns) });
    return fact === known?.fact ? null : found;
  }
}
