// SPDX-License-Identifier: Apache-2.0

import { must, POLLIN, type Socket } from '../native/sockets.ts';
import type { Family } from '../tcp/address.ts';
import { TCP_FLAG } from '../tcp/flags.ts';
import { endOf } from '../tcp/sequence.ts';
import type { Lab } from './lab.ts';
import { frame, parseFrame, type Segment } from './segment.ts';
import { reached } from './until.ts';
import { HOSTS, MAC } from './wiring.ts';

export const ETH_P_ALL = 3;
const PATIENCE_MS = 2000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** For what anybody sends here at once. */
const ROOM_BYTES = 8 << 20;

/**
 * A host that exists only here: it speaks TCP to the lab's server segment by segment, and no kernel
 * answers for it.
 */
export class Stranger {
  readonly address: string;
  /** TSval of what it sends from now on; null for segments without timestamps. */
  clock: number | null = null;
  readonly #server: string;
  readonly #mouth: Socket;
  readonly #ear: Socket;

  /** `to`: what it speaks to, the lab's server or a host behind that. What is sent to `address` goes nowhere. */
  constructor(
    lab: Lab,
    family: Family,
    to: string = HOSTS[family].server,
    address: string = HOSTS[family].nowhere,
  ) {
    this.address = address;
    this.#server = to;
    this.#mouth = lab.socket(lab.client, { type: 'packet' });
    this.#ear = lab.socket(lab.server, { type: 'packet', protocol: ETH_P_ALL });
    must(this.#ear.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, ROOM_BYTES), 'setsockopt');
  }

  send(
    segment: Partial<Segment> & Pick<Segment, 'sport' | 'dport' | 'flags'>,
    to = this.#server,
  ): void {
    const timestamps = this.clock === null ? null : { tsval: this.clock, tsecr: 0 };
    const whole = {
      ...{ seq: 0, ack: 0, window: 0, payload: Buffer.alloc(0), timestamps },
      ...segment,
    };
    const macs = { from: MAC.client, to: MAC.server };
    must(this.#mouth.sendPacket('c0', frame(this.address, to, whole, macs)), 'sendPacket');
  }

  /** Dials the port from as many ports of its own, all at once. */
  sendSyns(dport: number, sports: number[]): void {
    for (const sport of sports)
      this.send({ sport, dport, flags: TCP_FLAG.syn, seq: isnOf(sport), window: 65535 });
  }

  /** What comes next for the other end, ports and numbers following from what was received. */
  reply(to: Segment, flags: number, more: Partial<Segment> = {}): void {
    this.send({
      sport: to.dport,
      dport: to.sport,
      flags,
      seq: to.ack,
      ack: endOf({ ...to, payload_len: to.payload.length }),
      window: 65535,
      timestamps:
        this.clock === null ? null : { tsval: this.clock, tsecr: to.timestamps?.tsval ?? 0 },
      ...more,
    });
  }

  /** Waits for so many segments with exactly these flags, in the order in which they came. */
  receive(flags: number, count: number, patience_ms = PATIENCE_MS): Segment[] {
    const received: Segment[] = [];
    const deadline = performance.now() + patience_ms;
    while (received.length < count) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(`${received.length} of ${count} segments with flags ${flags} came`);
      if (!(this.#ear.poll(POLLIN, Math.ceil(left)) & POLLIN)) continue;
      const segment = parseFrame(must(this.#ear.recv()).data, this.address);
      if (segment?.flags === flags) received.push(segment);
    }
    reached('the other host to hear them');
    return received;
  }

  /** Hears out what came meanwhile and is of no interest. */
  [Symbol.dispose](): void {
    while (!this.#ear.recv().error);
    this.#ear.close();
    this.#mouth.close();
  }
}

/** Any initial sequence number that is another one for each port. */
function isnOf(sport: number): number {
  return sport * 65_537;
}

export const SYN_ACK = TCP_FLAG.syn | TCP_FLAG.ack;
export const RST_ACK = TCP_FLAG.rst | TCP_FLAG.ack;
export const FIN_ACK = TCP_FLAG.fin | TCP_FLAG.ack;
export const PSH_ACK = TCP_FLAG.psh | TCP_FLAG.ack;
