// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText, TCP_FLAG } from '../../tcp/flags.ts';
import { distance } from '../../tcp/sequence.ts';
import { servedAtSource, service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { ResetSent } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { type Forgotten, waitedForFin, whyForgotten } from '../shared/closed.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { endAdvice, endText, exitText, isKilled, ownerOf } from '../shared/processes.ts';
import { inWords, seconds } from '../shared/wording.ts';

export default defineCause({
  id: 'data-after-close',
  title: 'the peer sent data after we had closed',
  severity: 'warning',
  explains:
    'The peer sent data to a connection that the process here had closed: nobody can read it, so it is reset.',
  seenAs: ['reset', 'fails-after-pause'],
  packets: true,
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer', 'connection-unknown'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, closed, reason } = event.body;
    if (!packet || packet.flags & TCP_FLAG.syn) return null;
    const forgotten = expired(event.body);
    const closed_state = forgotten
      ? 'FIN_WAIT2'
      : stateOfClosed(event.body, known.resetReason(reason));
    if (closed_state === null) return null;
    const { daddr, dport, saddr, sport } = packet.flow;
    const ends = (packet.flags & TCP_FLAG.fin) !== 0 && packet.payload_len === 0;
    const whole = sock !== null && closed_state === 'FIN_WAIT';
    const late = forgotten !== null && packet.payload_len === 0;
    const owner = ownerOf(closed?.owner) ?? ownerOf(sock?.owner);
    const ended = closed?.process_ends === 1;
    const gone = owner !== null && (ended || known.process(owner.pid)?.gone === 1);
    const exit_status = ended
      ? closed.exit_status
      : gone
        ? known.exitStatus(event, owner.pid)
        : null;
    const process_end = exit_status === null ? null : exitText(exit_status);
    return {
      evidence: {
        local: endpoint(daddr, dport),
        peer: endpoint(saddr, sport),
        flags: flagsText(packet.flags),
        payload_bytes: packet.payload_len,
        lost_bytes: ends && whole ? Math.max(0, distance(sock.rcv_nxt, packet.seq)) : null,
        closed_state,
        closed_ms: closed?.since_ms ?? null,
        // The socket is whole: close() and shutdown() of both directions look the same.
        ...(closed_state === 'FIN_WAIT' && !gone && { closed_or_shut_down: true }),
        forgotten_after: forgotten,
        forgotten_after_s: forgotten && waitedForFin(event.body),
        ...(gone && { ended_process: `${owner.comm} (${owner.pid})` }),
        ...(process_end !== null && { process_end }),
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${
        servedAtSource(packet.flow) ? `from ${saddr} ${sport}` : `at ${daddr} ${dport}`
      }${late ? ' late' : ''}${gone ? ` ended ${process_end ?? ''}` : ''}${forgotten ? ` ${forgotten}` : ''}`,
      owner,
      // Both ends had closed it.
      ...(late && { severity: 'info' as const }),
    };
  },
  summary({
    local: at,
    peer,
    flags,
    payload_bytes,
    lost_bytes,
    closed_ms,
    forgotten_after,
    forgotten_after_s,
    ended_process,
    process_end,
    closed_or_shut_down,
  }) {
    const end =
      ended_process === undefined
        ? ''
        : `: ${process_end === undefined ? 'its process has ended' : endText(process_end)}`;
    const when = closed_ms === null ? '' : ` ${seconds(closed_ms)}`;
    if (forgotten_after !== null && payload_bytes === 0)
      return `${peer} closed only now what ${at} had closed${when} before and forgotten after ${forgotten_after} (${forgotten_after_s} s)`;
    if (forgotten_after !== null) {
      const what = payload_bytes > 0 ? `${payload_bytes} bytes` : `[${flags}]`;
      return `${peer} sent ${what} to ${at}, closed${when} before and forgotten after ${forgotten_after} (${forgotten_after_s} s)${end}`;
    }
    if (payload_bytes > 0)
      return closed_ms === null
        ? `${peer} sent ${payload_bytes} bytes to ${at} after it was closed${closed_or_shut_down ? ', or shut down in both directions' : ''}${end}`
        : `${peer} sent ${payload_bytes} bytes to ${at}${when} after it was closed${end}`;
    const lost = lost_bytes === null ? 'data' : `${lost_bytes} bytes`;
    return `${peer} closed too, after ${lost} that never arrived at ${at}, which had closed${closed_ms === null ? '' : `${when} before`}`;
  },
  advice(
    { local: at, peer, payload_bytes, forgotten_after, forgotten_after_s, ended_process, ...more },
    flow,
  ) {
    const byClient = servedAtSource(flow);
    // TIME_WAIT begins with the peer's acknowledgement of the FIN.
    const knew = more.closed_state === 'TIME_WAIT' && Number(more.closed_ms) > RACE_MS;
    if (forgotten_after !== null && payload_bytes === 0)
      return [
        `nothing is lost by it: both ends had closed. But the process at ${peer} was late: it keeps in CLOSE_WAIT what its peers have closed, and may run out of files. On ${flow.saddr}: \`ss -tanp state close-wait 'sport = :${flow.sport}'\``,
      ];
    const how = more.process_end === undefined ? null : endAdvice(more.process_end, at);
    if (ended_process !== undefined && byClient)
      return [
        how ??
          `${at}: ${inWords(ended_process)} has ended before ${peer} had said all: was it done, or did it crash? \`journalctl -e\``,
        `harmless where clients leave early on purpose; else compare how long ${peer} takes to answer with how long ${at} waits`,
      ];
    if (ended_process !== undefined)
      return [
        how ??
          `${at}: ${inWords(ended_process)} has ended, and its connections with it: a restart, or a crash? \`journalctl -e\``,
        ...(more.process_end !== undefined && isKilled(more.process_end)
          ? []
          : [
              `${at}: before it ends a service should tell its clients (Connection: close, GOAWAY) and wait for what is under way`,
            ]),
        `${peer} was told by a FIN, and sent all the same: its pool has to look for that before it uses a connection again, and to send again on a new one`,
      ];
    if (forgotten_after !== null)
      return [
        `${at} closed before ${peer} had said all. Does its process give up too early, or does ${peer} answer later than ${forgotten_after_s} s? Who waits for an answer shuts down only its own direction (shutdown(SHUT_WR)) and reads until the end`,
        `a longer ${forgotten_after} does not help: nobody reads what comes after close(). It only keeps the connection in mind`,
      ];
    const sent =
      payload_bytes > 0
        ? []
        : [
            `what ${peer} had sent last was lost on the way and not sent again in time: look there, and at the hops between, for drops`,
          ];
    if (byClient && payload_bytes > 0)
      return [
        `${at} is the client, and closed before ${peer} had said all: does its program give up (a timeout of its own, a cancelled request), or read only a part of the answer? How long does ${peer} take to answer?`,
        `${at}: shut down only its own direction (shutdown(SHUT_WR)) and read until the end; where clients leave early on purpose this is harmless`,
      ];
    return [
      ...sent,
      ...(more.closed_or_shut_down
        ? [
            `${at}: close(), or shutdown(SHUT_RDWR) while the process still has it: the kernel resets what comes in both cases. To read on while nothing more is sent: shutdown(SHUT_WR), which Go calls CloseWrite() and Java shutdownOutput()`,
          ]
        : []),
      knew
        ? `${at} closed first, and ${flow.saddr} had acknowledged that: the process at ${peer} had not looked. Its pool of connections has to ask before each use whether one is readable, and to send again on a new one`
        : `${at} closed first and ${peer} did not know yet: make the side that sends be the one that closes`,
      ...(byClient
        ? []
        : [
            `HTTP: keepalive_timeout of the server (${at}) above the idle timeout of its client or balancer (${peer}). Was ${peer} in the midst of a request? Then ${at} gave up reading it: a limit of its own (client_body_timeout of nginx, ReadTimeout of Go, requestTimeout of Node), or an answer that it gave early`,
            ...(Number(more.closed_ms) > SOON_MS ? [] : [takesNobody(at)]),
          ]),
    ];
  },
});

const takesNobody = (at: string) =>
  `${at} closes each new connection, and answers none? Then it takes nobody now, and no timeout helps: a limit of connections (maxConnections of Node, MaxStartups of sshd, maxclients of Redis), an access list: its log says which`;

/** What a process sends for so long after its kernel had the FIN may have been on its way to the socket before. */
const RACE_MS = 100;
/** A client of which a service takes nobody has sent by then. */
const SOON_MS = 1000;

/** Why a connection is gone that was kept as long as the kernel keeps it. */
function expired(reset: ResetSent): Forgotten | null {
  const why = whyForgotten(reset);
  return why === 'TIME_WAIT table full' ? null : why;
}

/** Of a socket that is still known: in what state it met data, or a FIN beyond data that never came. */
function stateOfClosed({ packet, sock }: ResetSent, reason: string): string | null {
  if (!packet || !sock) return null;
  const says = packet.payload_len > 0 || (packet.flags & TCP_FLAG.fin) !== 0;
  if (!says) return null;
  if (sock.state === TCP_STATE.TIME_WAIT) return 'TIME_WAIT';
  // Without a reason: the socket was closed by this very segment, in FIN_WAIT1 or FIN_WAIT2.
  const finished =
    reason === NO_REASON &&
    sock.state === TCP_STATE.CLOSE &&
    (sock.previous_state === TCP_STATE.FIN_WAIT1 || sock.previous_state === TCP_STATE.FIN_WAIT2);
  return finished || reason === 'TCP_ABORT_ON_DATA' ? 'FIN_WAIT' : null;
}
