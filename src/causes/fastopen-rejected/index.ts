// SPDX-License-Identifier: Apache-2.0

import { TCP_FLAG } from '../../tcp/flags.ts';
import { defineCause } from '../define.ts';
import { refusedAt, sharedAdvice, whichListener } from '../shared/listeners.ts';

export default defineCause({
  id: 'fastopen-rejected',
  title: 'Fast Open was refused, the SYN was answered',
  severity: 'info',
  explains:
    'A SYN came with a Fast Open cookie that is none of this host’s, or met a full Fast Open queue: its data is sent again after an ordinary handshake.',
  seenAs: ['slow'],
  needs: ['syn_fate'],
  on: ['syn_received'],
  match(event, known) {
    if (event.kind !== 'syn_received') return null;
    const { packet, listener, mib, one_of, fast_open_queue, fast_open_queue_max } = event.body;
    const queue = mib.tcp_fast_open_listen_overflow > 0;
    if (!queue && mib.tcp_fast_open_passive_fail === 0) return null;
    // A SYN that gets no answer at all is another failure, and the worse one.
    if (mib.listen_drops > 0 || !(packet.flags & TCP_FLAG.syn)) return null;
    const { evidence, ...at } = refusedAt(event.netns, packet, listener, one_of, known);
    return {
      ...at,
      evidence: {
        ...evidence,
        refused_for: queue ? 'queue' : 'cookie',
        payload_bytes: packet.payload_len,
        fast_open_queue: listener ? fast_open_queue : null,
        fast_open_queue_max: listener ? fast_open_queue_max : null,
        client: packet.flow.saddr,
      },
      group: `${at.group} ${queue ? 'queue' : 'cookie'}`,
      basis: mib.mixed || one_of > 0 ? 'inferred' : 'direct',
      flow: packet.flow,
    };
  },
  summary(evidence) {
    const { listener, listeners, listener_known, refused_for, client, payload_bytes } = evidence;
    const { fast_open_queue, fast_open_queue_max } = evidence;
    const queue =
      fast_open_queue === null
        ? 'its Fast Open queue is full'
        : `${fast_open_queue} Fast Open connections wait for their third ACK where ${fast_open_queue_max} may`;
    const why =
      refused_for === 'queue' ? queue : 'its Fast Open cookie is not the one of this host';
    return `${listener}${whichListener(listeners, listener_known)} answered the SYN of ${client}, but took none of the ${payload_bytes} bytes in it: ${why}`;
  },
  advice(evidence, { dport }) {
    const { listener, refused_for, fast_open_queue_max, client } = evidence;
    if (refused_for === 'queue') {
      const now = fast_open_queue_max === null ? '' : ` (now ${fast_open_queue_max})`;
      return [
        `${listener}: are these SYNs whose third ACK never comes (a flood), or real clients? \`ss -tn state syn-recv 'sport = :${dport}'\``,
        ...sharedAdvice(evidence, dport),
        `real ones: have the process of ${listener} give a larger number to TCP_FASTOPEN${now}. Nothing fails: such connections take one round trip more`,
      ];
    }
    return [
      `the cookie is made of the client’s address and a key. Do several hosts answer for ${listener}, or was this one restarted? Each chooses a key of its own unless it is set: \`sysctl net.ipv4.tcp_fastopen_key\` in its namespace has to be the same on all`,
      `did ${client} change its address, or is it behind a NAT with several? Then its cookie was made for another. It gets a new one with this answer: nothing to do, the connection takes one round trip more`,
    ];
  },
});
