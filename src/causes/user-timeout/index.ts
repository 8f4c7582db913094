// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { addressGoneAdvice, sourceMissing, sourceMissingText } from '../shared/denied.ts';
import { pathError } from '../shared/neighbours.ts';
import { ofSilence, waited } from '../shared/silence.ts';
import { endedInSilence, unreachableAdvice } from '../shared/unreachable.ts';
import { seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'user-timeout',
  title: 'data was not acknowledged within TCP_USER_TIMEOUT',
  severity: 'error',
  explains:
    'An open connection ended with ETIMEDOUT because data stayed unacknowledged for longer than the program allows (TCP_USER_TIMEOUT).',
  seenAs: ['times-out'],
  needs: ['state'],
  on: ['state_change'],
  // While it waited.
  supersedes: ['retransmitting'],
  match(event, known) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock } = event.body;
    if (old_state === TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    if (!endedInSilence(sock.err) || sock.user_timeout_ms === 0) return null;
    if (sock.unacked_bytes === 0) return null;
    const waited_ms = waited(sock);
    return {
      evidence: {
        local: local(sock.flow),
        peer: remote(sock.flow),
        user_timeout_ms: sock.user_timeout_ms,
        unacked_bytes: sock.unacked_bytes,
        retransmits: sock.retransmits,
        unanswered_probes: sock.unanswered_probes,
        peer_window_bytes: sock.snd_wnd,
        waited_ms,
        error: errnoName(sock.err),
        ...sourceMissing(event, known),
        path_error: pathError(event, known),
      },
      ...ofSilence(event, sock, waited_ms),
    };
  },
  summary(
    {
      local: at,
      peer,
      unacked_bytes,
      user_timeout_ms,
      retransmits,
      peer_window_bytes,
      path_error: why,
      source_missing,
    },
    { saddr },
  ) {
    const missing = source_missing ? sourceMissingText(saddr) : '';
    const limit = `within TCP_USER_TIMEOUT (${seconds(user_timeout_ms)})`;
    if (retransmits === 0 && peer_window_bytes > 0)
      return `${at} could not send its ${unacked_bytes} bytes to ${peer}, which has room, ${limit}: they did not leave this host${missing}${why === null ? '' : `: ${why}`}`;
    const how = retransmits > 0 ? 'did not acknowledge' : 'had no room for';
    return `${peer} ${how} ${unacked_bytes} bytes ${limit}${missing}${why === null ? '' : `: ${why}`}`;
  },
  advice(
    {
      local: at,
      peer,
      user_timeout_ms,
      retransmits,
      peer_window_bytes,
      path_error: why,
      source_missing,
    },
    flow,
  ) {
    const { saddr, daddr } = flow;
    const unsent = retransmits === 0 && peer_window_bytes > 0;
    const there =
      retransmits > 0
        ? [
            `is ${daddr} still there? \`ping -c 3 ${daddr}\` On it: \`ss -tn dst ${word(bracketed(saddr))}\` and \`tcpwhy trace ${word(peer)}\``,
          ]
        : unsent
          ? [
              `what drops here on the way out? The device’s queue: \`tc -s qdisc show\` Rules: \`nft list ruleset | grep -nE 'drop|reject'\` The route: \`ip route get ${daddr}\``,
            ]
          : [
              `the process at ${peer} does not read. On ${daddr}: \`ss -tnm dst ${word(bracketed(saddr))}\``,
            ];
    return [
      ...(source_missing ? [addressGoneAdvice(saddr)] : []),
      ...unreachableAdvice(why, flow),
      ...there,
      `${at}: its program, or its HTTP or gRPC library, set TCP_USER_TIMEOUT to ${user_timeout_ms} ms: is that longer than ${daddr} may pause? The timer: \`ss -tno dst ${word(bracketed(daddr))}\``,
    ];
  },
});
