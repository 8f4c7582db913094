// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { defineCause } from '../define.ts';
import { firstIsFull, firstIsFullText, sizeDecides } from '../shared/path-mtu.ts';
import { ofSilence, waited } from '../shared/silence.ts';
import { seconds, word } from '../shared/wording.ts';

/** In a row; fewer are ordinary on paths that lose. */
const TIMES = 4;

export default defineCause({
  id: 'retransmitting',
  title: 'data is sent again and again',
  severity: 'info',
  explains:
    'An open connection has sent the same data again four times in a row, without an answer; it may recover or end.',
  seenAs: ['stands-still', 'slow'],
  needs: ['stalled'],
  on: ['retransmit', 'state_change', 'reset_received'],
  match(event, known) {
    const stall = known.stall(event, 'timeouts');
    if (!stall || stall.sock.retransmits < TIMES) return null;
    const { sock, ended } = stall;
    const waited_ms = event.kind === 'retransmit' ? waited(sock) : stall.since_ms;
    return {
      evidence: {
        peer: remote(sock.flow),
        local: local(sock.flow),
        unacked_bytes: sock.unacked_bytes,
        retransmits: sock.retransmits,
        waited_ms,
        silent_ms: (event.kind === 'retransmit' && event.body.stall?.silent_ms) || null,
        ended_with: ended === null ? null : errnoName(ended),
        ...firstIsFull(stall, sock.silent_ms),
      },
      ...ofSilence(event, sock, waited_ms),
      ...(stall.opens ? { goes_on: true as const } : { again: true as const }),
    };
  },
  summary({ peer, local: here, unacked_bytes, retransmits, waited_ms, ended_with, ...more }) {
    const time = waited_ms === null ? '' : ` in ${seconds(waited_ms)}`;
    const end = ended_with === null ? '' : `: the connection ended with ${ended_with}`;
    return `${peer} has not acknowledged ${unacked_bytes} bytes of ${here}${time}, sent again ${retransmits} times${end}${firstIsFullText(more)}`;
  },
  advice({ peer, full_segment_bytes }, flow) {
    const { daddr } = flow;
    return [
      ...(full_segment_bytes === undefined ? [] : [sizeDecides(flow, full_segment_bytes, null)]),
      `does it go on? \`ss -tnoi dst ${word(bracketed(daddr))}\` shows the timer and backoff; if it ends, that has a finding of its own`,
      `is ${daddr} there? \`ping -c 3 ${daddr}\` On it: \`tcpwhy trace ${word(peer)}\``,
    ];
  },
});
