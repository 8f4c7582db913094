// SPDX-License-Identifier: Apache-2.0

import { cpu_ms as thisThread_ms } from '../host/kernel.ts';
import { TCP_STATE } from '../tcp/states.ts';
import { encodeEvent } from '../wire/decode.ts';
import type { Process, ProcessState } from '../wire/types.gen.ts';
import { u32, u64, type Words } from '../wire/words.ts';
import { AT, BODY, readCommon } from '../wire/written.gen.ts';
import type { Layout } from '../wire/written.ts';

/** A process may be stopped, and go on, at any time: so long what was told of it holds. */
const HOLDS_NS = 1e9;
/** After asking for one nobody asks for it so many times as long: it may have many files open. */
const RESTS = 10;
const MAX_REMEMBERED = 4096;
/** Of one listener. */
const MAX_ASKED = 8;
/** A process that has not read for less only has not come to it. */
const UNREAD_MS = 2500;

const NOTHING: never[] = [];

/** Where the process has closed: what comes then may have ended it. */
const CLOSED: ReadonlySet<number> = new Set([
  TCP_STATE.FIN_WAIT1,
  TCP_STATE.FIN_WAIT2,
  TCP_STATE.CLOSE,
]);

const LISTENERS: { readonly [Kind in Layout['kind']]?: readonly number[] } = {
  syn_received: [AT.SynReceived.listener],
  drop: [AT.Drop.sock],
  reset_sent: [AT.ResetSent.sock, AT.ResetSent.listener],
};

/** What may keep a process from its work is asked for when it does not accept, not read, or has closed too early. */
export class ProcessFacts {
  readonly #ask: (pid: number) => ProcessState | null;
  readonly #holders: (listener: string) => readonly Process[];
  readonly #told = new Map<number, { fact: string; until_ns: number }>();
  readonly #cpu_ms: () => number;

  /** `ask` gives null where nothing can be told of a process, `holders` the processes that have a listener open. */
  constructor(
    ask: (pid: number) => ProcessState | null,
    holders: (listener: string) => readonly Process[],
    cpu_ms = thisThread_ms,
  ) {
    this.#ask = ask;
    this.#holders = holders;
    this.#cpu_ms = cpu_ms;
  }

  /** Facts that the record at `at` needs and that were not told lately, serialized. */
  of(w: Words, at: number, layout: Layout): Uint8Array[] {
    const pids = this.#concerned(w, at, layout);
    if (pids.size === 0) return NOTHING;
    const { ktime_ns } = readCommon(w, at);
    return [...pids].flatMap((pid) => {
      const process = this.#asked(pid, ktime_ns);
      return process ? [encodeEvent({ ktime_ns, fact: { process } })] : [];
    });
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }

  #concerned(w: Words, at: number, { kind, words }: Layout): Set<number> {
    const pids = new Set<number>();
    for (const place of LISTENERS[kind] ?? NOTHING) {
      const sock = at + BODY + place;
      // A record may end before.
      if (BODY + place >= words) continue;
      const state = u32(w, sock + AT.Sock.state);
      if (state === TCP_STATE.LISTEN) {
        const holders = this.#holders(u64(w, sock + AT.Sock.id)).slice(0, MAX_ASKED);
        for (const { pid } of holders) pids.add(pid);
        if (holders.length > 0) continue;
      } else if (kind === 'reset_sent') {
        if (!CLOSED.has(state) || u32(w, at + BODY + AT.ResetSent.packet + AT.Packet.flags) === 0)
          continue;
      } else if (kind !== 'drop' || u32(w, at + BODY + AT.Drop.since_data_ms) < UNREAD_MS) continue;
      const pid = u32(w, sock + AT.Sock.owner + AT.Owner.pid);
      if (pid > 0) pids.add(pid);
    }
    const closed = at + BODY + AT.ResetSent.closed;
    if (kind === 'reset_sent' && BODY + AT.ResetSent.closed < words) {
      const pid = u32(w, closed + AT.Closed.owner + AT.Owner.pid);
      if (pid > 0) pids.add(pid);
    }
    return pids;
  }

  /** Null where it was told lately, and is the same. */
  #asked(pid: number, ktime_ns: number): ProcessState | null {
    const known = this.#told.get(pid);
    if (known && ktime_ns < known.until_ns) return null;
    const began_ms = this.#cpu_ms();
    const found = this.#ask(pid);
    const took_ns = (this.#cpu_ms() - began_ms) * 1e6;
    const fact = JSON.stringify(found);
    if (this.#told.size >= MAX_REMEMBERED) this.#told.clear();
    this.#told.set(pid, { fact, until_ns: ktime_ns + Math.max(HOLDS_NS, RESTS * took_ns) });
    return fact === known?.fact ? null : found;
  }
}
