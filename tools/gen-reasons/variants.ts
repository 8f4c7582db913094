// SPDX-License-Identifier: Apache-2.0

import { addressBytes } from '../../src/tcp/address.ts';
import { eventFromJson } from '../../src/wire/decode.ts';
import type { Event } from '../../src/wire/event.ts';
import { MIB_SLOTS } from '../../src/wire/mib.gen.ts';

type Json = { [field: string]: unknown };

const FLAGS = { S: 0x02, SA: 0x12, A: 0x10, PA: 0x18, FA: 0x11, R: 0x04, RA: 0x14 };
const NO_STATE = 0;
const SYN_SENT = 2;
const LISTEN = 10;
/** Of the kernel's enum, and none. */
const STATES = [NO_STATE, 1, 2, 4, 5, 6, 7, 8, 9, LISTEN, 12];
/** Before, at, and beyond what the socket waits for. */
const SEQS = [500, 1000, 2_000_000];
const NEXT = 1000;
const LAST_TTL = 1;

/** What a connection knows of its peer: a later timestamp than any segment here has. */
const CONNECTION = { remembered: { tsval: 100 }, window_end: 3000, peer_isn: 400 };

/** Functions that causes know by name, at addresses of their own. */
export const FUNCTIONS = [
  '__tcp_close',
  'tcp_disconnect',
  'inet_csk_listen_stop',
  'tcp_abort',
  'tcp_write_timer_handler',
  'tcp_keepalive_timer',
  'tcp_out_of_resources',
  'tcp_check_oom',
  'sk_stream_kill_queues',
  'nf_hook_slow',
  'ip_error',
  'ip_forward',
].map((name, index) => ({ address: String(4096 * (index + 1)), name, module: '' }));

/** Who sends resets of its own accord, innermost first. */
const STACKS = [...FUNCTIONS.map(({ name }) => [name]), ['tcp_disconnect', '__tcp_close']];

/** Segments dropped as they may be, but for the reason. */
export function drops(): Event<'drop'>[] {
  const plain = Object.values(FLAGS).flatMap((flags) =>
    STATES.flatMap((state) =>
      SEQS.map((seq) => ({ packet: packet(flags, seq), ...sockIn(state) })),
    ),
  );
  const counted = [FLAGS.S, FLAGS.A].flatMap((flags) =>
    [NO_STATE, 1, 6, LISTEN, 12].flatMap((state) =>
      MIB_SLOTS.map(({ field }) => ({
        packet: packet(flags, NEXT),
        ...sockIn(state),
        mib: { [field]: 1 },
      })),
    ),
  );
  const placed = FUNCTIONS.flatMap(({ address: location }) =>
    [64, LAST_TTL].map((ttl) => ({ packet: { ...packet(FLAGS.A, NEXT), ttl }, location })),
  );
  const framed = [0, 1].map((is_ours) => ({
    packet: packet(FLAGS.S, NEXT),
    frame: frame(is_ours),
  }));
  return [...plain, ...counted, ...placed, ...framed].map(
    (drop) => made({ drop: { ...drop, ...CONNECTION } }) as Event<'drop'>,
  );
}

/** Resets sent in answer to a segment, or by a socket of its own accord. */
export function resets(): Event<'reset_sent'>[] {
  const answers = Object.values(FLAGS).flatMap((flags) =>
    [
      ...STATES.map((state) => sockIn(state)),
      // Looked for where there is no socket.
      { listener: sock(LISTEN) },
      { dialled: sock(SYN_SENT) },
    ].map((socks) => ({ packet: packet(flags, NEXT), ...socks })),
  );
  const active = STATES.filter((state) => state !== NO_STATE).flatMap((state) =>
    STACKS.flatMap((stack) =>
      [{}, { memory: { pages: 3, pages_max: 2, send_bytes: 10_000 } }].map((more) => ({
        sock: sock(state),
        stack: stackOf(stack),
        ...more,
      })),
    ),
  );
  return [...answers, ...active].map((reset_sent) => made({ reset_sent }) as Event<'reset_sent'>);
}

function made(body: Json): Event | null {
  return eventFromJson({ ktime_ns: '1000', netns: 1, key: '1', occurrences: 1, ...body });
}

const flow = {
  saddr: addressBytes('10.0.0.1'),
  daddr: addressBytes('10.0.0.2'),
  sport: 40_000,
  dport: 80,
};

function packet(flags: number, seq: number): Json {
  const timestamps = { has_timestamps: 1, tsval: 1, tsecr: 1 };
  const at = { ifindex: 2, ttl: 64, device: Buffer.from('eth0') };
  const payload_len = flags === FLAGS.PA ? 100 : 0;
  return { flow, flags, seq, ack_seq: 77, window: 512, payload_len, ...timestamps, ...at };
}

function frame(is_ours: number): Json {
  const [mac_to, mac_from, mac_here] = [1, 2, 3].map((n) => Buffer.from(`02000000000${n}`));
  return { mac_to, mac_from, mac_here, is_ours };
}

function sockIn(state: number): Json {
  return state === NO_STATE ? {} : { sock: sock(state) };
}

function sock(state: number): Json {
  const ends = {
    ...flow,
    saddr: flow.daddr,
    sport: flow.dport,
    daddr: flow.saddr,
    dport: flow.sport,
  };
  const queues = { accept_queue: 5, accept_queue_max: 4, unread_bytes: 10, unacked_bytes: 10 };
  const owner = { pid: 1, comm: Buffer.from('server') };
  const numbers = { snd_nxt: 78, rcv_nxt: NEXT, linger: 1, linger_time: 0 };
  return { id: '1', flow: ends, state, previous_state: state, owner, ...queues, ...numbers };
}

function stackOf(functions: readonly string[]): Buffer {
  const bytes = Buffer.alloc(64);
  for (const [index, name] of functions.entries()) {
    const address = FUNCTIONS.find((one) => one.name === name)?.address ?? 0;
    bytes.writeBigUInt64LE(BigInt(address), 8 * index);
  }
  return bytes;
}
