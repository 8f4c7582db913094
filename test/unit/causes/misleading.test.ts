// SPDX-License-Identifier: Apache-2.0
//
// What the kernel calls a drop or reset is not always what it was: each label that misleads, and each
// thing that it can be, in a fixture in which the kernel said it.

import { expect, test } from 'vitest';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import { explain, readFixture, streamOf } from './fixture.ts';

/** [the kernel's label, what it was, a cause's fixture, what tcpwhy says] */
const ROWS = [
  ['drop NO_SOCKET', 'a closed port', 'no-listener/fires', 'no-listener'],
  [
    'drop NO_SOCKET',
    'a SYN-ACK from the wrong address',
    'synack-wrong-source/fires',
    'synack-wrong-source',
  ],
  [
    'drop NO_SOCKET',
    'a SYN-ACK for a connect given up',
    'connection-unknown/fires-answer',
    'connection-unknown',
  ],
  ['drop IP_INHDR', 'a TTL that ended at a gateway', 'ttl-exceeded/fires', 'ttl-exceeded'],
  ['drop NO_SOCKET', 'state that was lost', 'connection-unknown/fires', 'connection-unknown'],
  [
    'drop NO_SOCKET',
    'a good SYN cookie, and no room for its child',
    'accept-queue-full/fires-cookie',
    'accept-queue-full',
  ],
  [
    'reset INVALID_SYN',
    'tcp_abort_on_overflow, no SYN at all',
    'accept-queue-full/fires-reset',
    'accept-queue-full',
  ],
  [
    'reset INVALID_SYN',
    'a second SYN for a pending handshake',
    'pending-request-collision/fires-reset',
    'pending-request-collision',
  ],
  [
    'drop TCP_OVERWINDOW',
    'a second SYN for a pending handshake',
    'pending-request-collision/fires',
    'pending-request-collision',
  ],
  ['drop NOT_SPECIFIED', 'a third ACK that is deferred', 'defer-accept/quiet', 'benign'],
  ['reset TCP_STATE', 'SO_LINGER 0', 'linger-zero-close/fires', 'linger-zero-close'],
  [
    'reset TCP_STATE',
    'a listener closed with children',
    'listener-closed/fires',
    'listener-closed',
  ],
  [
    'reset TCP_STATE',
    'disconnect(), with SO_LINGER 0 set',
    'socket-disconnected/fires',
    'socket-disconnected',
  ],
  ['reset TCP_STATE', 'ss -K', 'socket-destroyed/fires', 'socket-destroyed'],
  [
    'reset NOT_SPECIFIED',
    'close() with unread data',
    'unread-data-on-close/fires-no-reason',
    'unread-data-on-close',
  ],
  [
    'reset NOT_SPECIFIED',
    'data after close()',
    'data-after-close/fires-no-reason',
    'data-after-close',
  ],
  [
    'reset TCP_FLAGS',
    'a stray ACK to a listener',
    'connection-unknown/fires-listening',
    'connection-unknown',
  ],
  ['reset TCP_FLAGS', 'a bad SYN cookie', 'syn-cookie-rejected/fires', 'syn-cookie-rejected'],
  ['drop TCP_RESET', 'a reset that was refused', 'reset-rejected/fires', 'reset-rejected'],
  ['drop TCP_RESET', 'a reset that hit a listener', 'request-reset/quiet', 'benign'],
  [
    'drop TCP_LISTEN_OVERFLOW',
    'a full accept queue',
    'accept-queue-full/fires-third-ack',
    'accept-queue-full',
  ],
  [
    'drop TCP_LISTEN_OVERFLOW',
    'no memory, route or port for the child',
    'accept-queue-full/quiet',
    'unexplained',
  ],
  ['drop IP_INHDR', 'a source in loopback', 'martian-source/fires-ipv6', 'martian-source'],
  ['drop NETFILTER_DROP', 'a rule that drops', 'netfilter-drop/fires', 'netfilter-drop'],
  ['drop NETFILTER_DROP', 'a full connection table', 'conntrack-full/fires', 'conntrack-full'],
  [
    'drop NETFILTER_DROP',
    'no port to translate to',
    'nat-ports-exhausted/fires',
    'nat-ports-exhausted',
  ],
  [
    'drop NETFILTER_DROP',
    'no route for what was translated',
    'martian-source/fires-loopback-translated',
    'martian-source',
  ],
  [
    'drop NO_SOCKET',
    'a reset from the wrong address',
    'refused-from-elsewhere/fires',
    'refused-from-elsewhere',
  ],
  [
    'reset NO_SOCKET',
    'a translation that was forgotten',
    'conntrack-invalid/fires-forgotten',
    'conntrack-invalid',
  ],
  [
    'drop NETFILTER_DROP',
    'a rule that answers first',
    'netfilter-reject/fires',
    'netfilter-reject',
  ],
  [
    'drop TCP_INVALID_SYN',
    'a SYN-ACK that came twice',
    'syn-on-live-connection/quiet-syn-ack',
    'benign',
  ],
  [
    'drop NOT_SPECIFIED',
    'the reverse path filter, counted',
    'rp-filter/fires-counted',
    'rp-filter',
  ],
  [
    'a consumed packet',
    'a SYN refused by a full accept queue',
    'accept-queue-full/fires',
    'accept-queue-full',
  ],
  [
    'a consumed packet',
    'a SYN refused by a full SYN queue',
    'syn-queue-full/fires',
    'syn-queue-full',
  ],
  ['a consumed packet', 'a SYN without a way back', 'no-route-back/fires', 'no-route-back'],
] as const;

test.each(ROWS)('%s: it was %s (%s)', (label, _, fixture, cause) => {
  const [id = '', name = ''] = fixture.split('/');
  const { header, events } = readFixture(id, name);
  const { known } = new Pipeline(header, []);
  const labels = events.map(eventFromJson).map(({ kind, body }) => {
    if (kind === 'drop') return `drop ${known.dropReason(body.reason)}`;
    if (kind === 'reset_sent') return `reset ${known.resetReason(body.reason)}`;
    return kind === 'syn_received' ? 'a consumed packet' : kind;
  });
  expect(labels).toContain(label);
  // What came of it later is another matter.
  const causes = explain(header, streamOf(events))
    .filter(({ because }) => !because)
    .map((finding) => finding.cause);
  expect(causes).toContain(cause);
  const REST = ['benign', 'unexplained'];
  if (!REST.includes(cause)) {
    expect(causes.filter((other) => other !== cause && !REST.includes(other))).toEqual([]);
  }
});
