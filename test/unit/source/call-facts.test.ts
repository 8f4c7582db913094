// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { CallFacts, type CallHost } from '../../../src/source/call-facts.ts';
import { addressBytes } from '../../../src/tcp/address.ts';
import { ERRNO } from '../../../src/tcp/errno.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';
import { TCP_STATE } from '../../../src/tcp/states.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';
import type { Layout } from '../../../src/wire/written.ts';

const [CALL_FAILED, DROP, RESET_SENT, SYN_RECEIVED, STATE_CHANGE, RESET_RECEIVED] = [
  75, 19, 17, 16, 20, 18,
] as const;
const layout = WRITTEN[CALL_FAILED];
const [BY_NETFILTER, NOT_OURS] = [2, 3];
const NO_SOCKET = 99;
const PATH_FILTER = 44;
const DST_NAT = 1 << 5;
const NEW = 2;
const ASKED: NonNullable<ReturnType<CallHost['failed']>> = {
  ...{ route_errno: 101, route_type: '', prefix: '', table: 0, rule: '', source_missing: 0 },
  ...{ addresses: 1, global_addresses: 1, tentative: 0, duplicate: 0, device: '', state: '' },
  ...{ hooked: [], modules: [], port_users: [], narrow: [], reserved_ports: '', ipsec_blocked: 0 },
};

function record(ktime_ns: number, key: number, words: number = layout.words) {
  const w = new Int32Array(words);
  const bytes = Buffer.from(w.buffer);
  bytes.writeBigUInt64LE(BigInt(ktime_ns), 4 * AT.Event.ktime_ns);
  bytes.writeBigUInt64LE(BigInt(key), 4 * AT.Event.key);
  w[AT.Event.netns] = 7;
  return w;
}

function finder(took_ms = 0, answer: ReturnType<CallHost['failed']> = ASKED) {
  let now_ms = 0;
  const asked: number[] = [];
  const ask = (netns: number) => {
    asked.push(netns);
    now_ms += took_ms;
    return answer;
  };
  const facts = new CallFacts(
    {
      failed: ask,
      sent: ask,
      address: ask,
      back: ask,
      ports: ask,
      passing: ask,
      dialledBy: () => ask(0),
      answer: ask,
      isByNetfilter: (reason) => reason === BY_NETFILTER,
      isByPathFilter: (reason) => reason === PATH_FILTER,
      isNotOurs: (reason) => reason === NOT_OURS,
      hasNoSocket: (reason) => reason === NO_SOCKET,
    },
    () => now_ms,
  );
  const of = (ktime_ns: number, key: number) => told(record(ktime_ns, key), layout);
  const told = (w: Int32Array, layout: Layout) => {
    const found = facts.of(w, 0, layout);
    return [...new FrameReader().push(Buffer.concat(found))].map(
      ({ bytes }) => decodeEvent(bytes)?.body,
    );
  };
  return { of, told, asked, facts };
}

test('a call that failed is asked about, once a second and key', () => {
  const { of, asked, facts } = finder();
  expect(of(1e9, 5)).toMatchObject([{ connect_asked: { key: '5', route_errno: 101 } }]);
  expect(of(1.5e9, 5)).toEqual([]);
  expect(of(1.5e9, 6)).toHaveLength(1);
  expect(of(2.1e9, 5)).toHaveLength(1);
  facts.forget();
  expect(of(2.2e9, 5)).toHaveLength(1);
  expect(asked).toEqual([7, 7, 7, 7]);
});

test.each([
  ['with all that found no room', 0],
  ['with all of its host', 2 ** 40 + 5],
  ['with all of its cause', 2 ** 41 + 5],
])('nothing is asked of what is counted %s: the answer would be taken for another’s', (_, key) => {
  const { of, asked } = finder();
  expect(of(1e9, key)).toEqual([]);
  expect(asked).toEqual([]);
});

test('nothing is told of other records, nor where the namespace is gone', () => {
  const { facts } = finder();
  const w = new Int32Array(WRITTEN[DROP].words);
  expect(facts.of(w, 0, WRITTEN[DROP])).toEqual([]);
  expect(finder(0, null).of(1e9, 5)).toEqual([]);
});

test('asking takes a share of the time, however many calls fail', () => {
  const { of, asked } = finder(100);
  for (let key = 1; key <= 100; key++) of(1e9, key);
  expect(asked.length).toBeLessThan(25);
  const before = asked.length;
  for (let key = 101; key <= 200; key++) of(2e9, key);
  expect(asked.length - before).toBeGreaterThan(0);
  expect(asked.length - before).toBeLessThan(5);
});

/** A SYN from 10.0.0.1 to a port of 10.0.0.2, sent there in place of 10.0.0.9 where it is `sent`. */
function drop(reason: number, { sent = false, ifindex = 0, key = 5 } = {}) {
  const w = record(1e9, key, WRITTEN[DROP].words);
  const bytes = Buffer.from(w.buffer);
  const put = (flow: number, daddr: string) => {
    bytes.set(addressBytes('10.0.0.1'), 4 * (flow + AT.Flow.saddr));
    bytes.set(addressBytes(daddr), 4 * (flow + AT.Flow.daddr));
    w[flow + AT.Flow.dport] = 80;
  };
  w[BODY + AT.Drop.reason] = reason;
  const packet = BODY + AT.Drop.packet;
  w[packet + AT.Packet.ifindex] = ifindex;
  put(packet + AT.Packet.flow, '10.0.0.2');
  if (!sent) return w;
  const conntrack = BODY + AT.Drop.conntrack;
  w[conntrack + AT.Conntrack.info] = NEW;
  w[conntrack + AT.Conntrack.status] = DST_NAT;
  put(conntrack + AT.Conntrack.sent, '10.0.0.9');
  return w;
}

test('the route of what left for elsewhere and netfilter dropped is asked for', () => {
  const { told, asked } = finder();
  expect(told(drop(BY_NETFILTER), WRITTEN[DROP])).toEqual([]);
  expect(told(drop(4, { sent: true }), WRITTEN[DROP])).toEqual([]);
  expect(told(drop(BY_NETFILTER, { sent: true, ifindex: 2 }), WRITTEN[DROP])).toEqual([]);
  expect(asked).toEqual([]);
  expect(told(drop(BY_NETFILTER, { sent: true }), WRITTEN[DROP])).toMatchObject([
    { connect_asked: { key: '5', route_errno: 101 } },
  ]);
});

test('whose address it is that is dialled by lo, is asked where nobody took the SYN', () => {
  const missing = () => finder(0, { ...ASKED, source_missing: 1 });
  const syn = (ifindex: number, flags = 2) => {
    const w = drop(NO_SOCKET, { ifindex });
    w[BODY + AT.Drop.packet + AT.Packet.flags] = flags;
    return w;
  };
  expect(missing().told(syn(1), WRITTEN[DROP])).toMatchObject([
    { connect_asked: { key: '5', source_missing: 1 } },
  ]);
  expect(missing().told(syn(2), WRITTEN[DROP])).toEqual([]);
  expect(missing().told(syn(1, 18), WRITTEN[DROP])).toEqual([]);
  expect(finder().told(syn(1), WRITTEN[DROP])).toEqual([]);
});

test('an address for which something came that nobody took is asked about once a second', () => {
  const duplicate = finder(0, { ...ASKED, duplicate: 1 });
  const dropped = (key: number) => drop(NOT_OURS, { ifindex: 2, key });
  expect(duplicate.told(dropped(5), WRITTEN[DROP])).toMatchObject([
    { connect_asked: { key: '5', duplicate: 1 } },
  ]);
  expect(duplicate.told(dropped(6), WRITTEN[DROP])).toHaveLength(1);
  expect(duplicate.asked).toHaveLength(1);
  // That it is none of this host's is known.
  expect(finder(0, { ...ASKED, source_missing: 1 }).told(dropped(5), WRITTEN[DROP])).toEqual([]);
});

test('of a connection that nobody answers any more it is told where its own address is gone', () => {
  const ended = (old_state: number, err: number, retransmits = 1) => {
    const w = record(1e9, 5, WRITTEN[STATE_CHANGE].words);
    const change = BODY + AT.StateChange.old_state;
    w[change] = old_state;
    w[BODY + AT.StateChange.new_state] = TCP_STATE.CLOSE;
    const sock = BODY + AT.StateChange.sock;
    Buffer.from(w.buffer).set(addressBytes('10.0.0.2'), 4 * (sock + AT.Sock.flow + AT.Flow.saddr));
    w[sock + AT.Sock.flow + AT.Flow.sport] = 40_000;
    w[sock + AT.Sock.err] = err;
    w[sock + AT.Sock.retransmits] = retransmits;
    return w;
  };
  const missing = (w: Int32Array) =>
    finder(0, { ...ASKED, source_missing: 1 }).told(w, WRITTEN[STATE_CHANGE]);
  const gone = [{ connect_asked: { source_missing: 1 } }];
  expect(missing(ended(TCP_STATE.ESTABLISHED, ERRNO.ETIMEDOUT))).toMatchObject(gone);
  expect(missing(ended(TCP_STATE.ESTABLISHED, ERRNO.ENETUNREACH, 0))).toMatchObject(gone);
  expect(missing(ended(TCP_STATE.ESTABLISHED, 0))).toEqual([]);
  expect(missing(ended(TCP_STATE.SYN_SENT, 0))).toMatchObject(gone);
  expect(missing(ended(TCP_STATE.SYN_SENT, 0, 0))).toEqual([]);
});

test('of a refused SYN it is told only where no device has the address', () => {
  const refused = (flags: number) => {
    const w = record(1e9, 5, WRITTEN[RESET_SENT].words);
    const packet = BODY + AT.ResetSent.packet;
    Buffer.from(w.buffer).set(addressBytes('10.0.0.2'), 4 * (packet + AT.Packet.flow));
    w[packet + AT.Packet.flags] = flags;
    return w;
  };
  const missing = () => finder(0, { ...ASKED, source_missing: 1 });
  const { syn, ack } = TCP_FLAG;
  expect(missing().told(refused(syn), WRITTEN[RESET_SENT])).toMatchObject([
    { connect_asked: { source_missing: 1 } },
  ]);
  expect(missing().told(refused(syn | ack), WRITTEN[RESET_SENT])).toEqual([]);
  expect(finder().told(refused(syn), WRITTEN[RESET_SENT])).toEqual([]);
});

test('the way back is asked for of what the reverse path filter drops, and what refuses what is passed on', () => {
  const { told } = finder();
  expect(told(drop(PATH_FILTER, { ifindex: 2 }), WRITTEN[DROP])).toHaveLength(1);
  // Before there was a reason for it.
  const known = (at: number, value: number) => {
    const w = drop(1, { ifindex: 2, key: 200 + value });
    w[BODY + at] = value;
    return w;
  };
  const counted = AT.Drop.mib + AT.MibDelta.ip_reverse_path_filter;
  expect(told(known(counted, 1), WRITTEN[DROP])).toHaveLength(1);
  expect(told(known(AT.Drop.source_errno, 18), WRITTEN[DROP])).toHaveLength(1);
  expect(told(known(AT.Drop.source_errno, 22), WRITTEN[DROP])).toEqual([]);
  const refused = (errno: number) => {
    const w = drop(1, { ifindex: 2, key: 6 + errno });
    w[BODY + AT.Drop.route_errno] = errno;
    return w;
  };
  const [EACCES, EINVAL, ENETUNREACH, EHOSTUNREACH] = [13, 22, 101, 113] as const;
  for (const errno of [EACCES, EINVAL, EHOSTUNREACH])
    expect(told(refused(errno), WRITTEN[DROP])).toHaveLength(1);
  expect(told(refused(ENETUNREACH), WRITTEN[DROP])).toEqual([]);
  expect(told(refused(0), WRITTEN[DROP])).toEqual([]);
});

test('the way back is asked for of a SYN that was refused, and no queue was full', () => {
  const { told } = finder();
  const refused = (key: number, ...counters: number[]) => {
    const w = record(1e9, key, WRITTEN[SYN_RECEIVED].words);
    for (const counter of counters) w[BODY + AT.SynReceived.mib + counter] = 1;
    return w;
  };
  const { listen_drops, listen_overflows, out_no_routes } = AT.MibDelta;
  expect(told(refused(5, listen_drops), WRITTEN[SYN_RECEIVED])).toHaveLength(1);
  expect(told(refused(6, listen_drops, out_no_routes), WRITTEN[SYN_RECEIVED])).toHaveLength(1);
  expect(told(refused(7, listen_drops, listen_overflows), WRITTEN[SYN_RECEIVED])).toEqual([]);
  expect(told(refused(8), WRITTEN[SYN_RECEIVED])).toEqual([]);
});

test('of a connect that was refused it is asked who sees what its process dials', () => {
  const { told, asked } = finder();
  const refused = (key: number, state: number, cgroup: number) => {
    const w = record(1e9, key, WRITTEN[RESET_RECEIVED].words);
    const sock = BODY + AT.ResetReceived.sock;
    w[sock + AT.Sock.state] = state;
    w[sock + AT.Sock.owner + AT.Owner.cgroup] = cgroup;
    return w;
  };
  const [ESTABLISHED, SYN_SENT] = [1, 2] as const;
  expect(told(refused(5, ESTABLISHED, 7), WRITTEN[RESET_RECEIVED])).toEqual([]);
  expect(told(refused(5, SYN_SENT, 0), WRITTEN[RESET_RECEIVED])).toEqual([]);
  expect(asked).toEqual([]);
  expect(told(refused(5, SYN_SENT, 7), WRITTEN[RESET_RECEIVED])).toHaveLength(1);
});

test('of a connect that was given no port it is asked which are reserved', () => {
  const [SYN_SENT, CLOSE] = [2, 7] as const;
  const closed = (key: number, sport: number) => {
    const w = record(1e9, key, WRITTEN[STATE_CHANGE].words);
    const change = BODY;
    w[change + AT.StateChange.old_state] = SYN_SENT;
    w[change + AT.StateChange.new_state] = CLOSE;
    w[change + AT.StateChange.sock + AT.Sock.flow + AT.Flow.sport] = sport;
    return w;
  };
  const { told } = finder();
  expect(told(closed(5, 0), WRITTEN[STATE_CHANGE])).toHaveLength(1);
  expect(told(closed(6, 40_000), WRITTEN[STATE_CHANGE])).toEqual([]);
});
