// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { redirectAdvice, resetFromElsewhere } from '../shared/conntrack.ts';
import { dialledBy, dialledByAdvice, dialledByText } from '../shared/dialled-by.ts';
import { movedAdvice, movedSince, movedText } from '../shared/mac.ts';
import { portZeroAdvice, portZeroText } from '../shared/port-zero.ts';
import { ownerOf } from '../shared/processes.ts';
import { JOINS, joinAdvice, joins } from '../shared/subflows.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'connect-refused',
  title: 'a connect was refused',
  severity: 'warning',
  explains:
    'A connect from this host was answered with a reset by the host it dialled, or by something on the way.',
  seenAs: ['connect-refused'],
  packets: true,
  needs: ['reset_received'],
  on: ['reset_received'],
  // Before 5.17 a reset is looked at as it arrives, before this host translates it back.
  supersedes: ['refused-from-elsewhere'],
  match(event, known) {
    if (event.kind !== 'reset_received' || event.body.sock.state !== TCP_STATE.SYN_SENT)
      return null;
    const { sock, packet } = event.body;
    const { daddr, dport } = sock.flow;
    const moved = movedSince(event.body.mac_change, MOVED_MS);
    const join = joins(sock);
    const redirected_to = resetFromElsewhere(event.body);
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        reset_ttl: packet?.ttl ?? null,
        ...(moved && { moved }),
        ...(join && { join }),
        ...(!join && dialledBy(event, sock.owner, known)),
        ...(redirected_to !== null && { redirected_to, netns: event.netns }),
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${daddr} ${dport}${join ? ' join' : ''}`,
      owner: join ? null : ownerOf(sock.owner),
      ...(join && { severity: 'info' as const }),
    };
  },
  summary(evidence, { daddr, dport }) {
    const { dialled, reset_ttl, redirected_to, moved, join } = evidence;
    const ttl = reset_ttl === null ? '' : ` (the reset’s TTL is ${reset_ttl})`;
    if (redirected_to !== undefined)
      return `${dialled}, translated by this host to ${redirected_to}, refused the connect with a reset${ttl}`;
    const since = moved ? `; ${movedText(moved, daddr)}` : '';
    return `${dialled} refused the connect with a reset${ttl}${portZeroText(dport)}${since}${dialledByText(evidence)}${join ? `.${JOINS}` : ''}`;
  },
  advice(evidence, flow) {
    const { dialled, reset_ttl, redirected_to, netns, moved, join } = evidence;
    const { daddr, dport } = flow;
    if (redirected_to !== undefined && netns !== undefined) {
      const [, target = '', port = ''] = redirected_to.match(/^\[?([^\]]*)\]?:(\d+)$/) ?? [];
      return [
        `on ${target}: does anything listen? \`ss -ltn 'sport = :${port}'\` or run there: \`tcpwhy trace ${word(redirected_to)}\``,
        redirectAdvice(netns, dialled),
      ];
    }
    if (dport === 0) return [portZeroAdvice(evidence.from), ...dialledByAdvice(dialled, evidence)];
    const ttl =
      reset_ttl === null
        ? []
        : [
            `a TTL other than ${reset_ttl} in that host’s other packets means that a firewall on the way refused: \`ping -c 1 ${daddr}\``,
          ];
    return [
      ...(join ? [joinAdvice(flow)] : []),
      ...dialledByAdvice(dialled, evidence),
      ...(moved ? movedAdvice(moved, daddr) : []),
      `on ${daddr}: does anything listen? \`ss -ltn 'sport = :${dport}'\` Does a rule reject? \`nft list ruleset | grep -n reject\``,
      ...ttl,
      `or run there: \`tcpwhy trace ${word(dialled)}\``,
    ];
  },
  ofMany: {
    scan: 'a port scan from here',
    advice: (_, { daddr }) => [
      `which process dials ${daddr}: is it meant to scan? \`ss -tnp dst ${word(bracketed(daddr))}\``,
      `or run there: \`tcpwhy trace ${word(daddr)}\``,
    ],
  },
});

/** What its address moved to so lately may be what refuses. */
const MOVED_MS = 60_000;
