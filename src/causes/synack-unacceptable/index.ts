// SPDX-License-Identifier: Apache-2.0

import { bracketed } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { word } from '../shared/wording.ts';

/** Why tcp_rcv_synsent_state_process() resets; older kernels do not say. */
const REASONS = new Set([
  'TCP_INVALID_ACK_SEQUENCE',
  'TCP_ACK_UNSENT_DATA',
  'TCP_OLD_ACK',
  'TCP_TOO_OLD_ACK',
  'TCP_RFC7323_PAWS',
  NO_REASON,
]);

export default defineCause({
  id: 'synack-unacceptable',
  title: 'the answer to a connect does not fit it',
  severity: 'warning',
  explains:
    'A connect from this host was answered with numbers that are not its own: an older connection at the peer, or a box that changes them.',
  seenAs: ['connect-hangs', 'connect-late'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['connection-unknown'],
  // Where the reset does not arrive, or changes nothing there.
  leadsTo: ['connect-given-up', 'connect-timeout', 'syn-resent'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    // A connecting socket answers with a reset only what acknowledges something else, or echoes it.
    if (!packet || sock?.state !== TCP_STATE.SYN_SENT || !(packet.flags & TCP_FLAG.ack))
      return null;
    const reset_reason = known.resetReason(reason);
    if (!REASONS.has(reset_reason)) return null;
    const echoes = reset_reason === 'TCP_RFC7323_PAWS' || packet.ack_seq === sock.snd_nxt;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        answer: packet.flags & TCP_FLAG.syn ? 'SYN-ACK' : 'ACK',
        wrong: echoes ? 'timestamp' : 'acknowledgement',
        acknowledges: packet.ack_seq,
        sent_up_to: sock.snd_nxt,
        reset_reason,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${remote(sock.flow)}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ dialled, from, answer, wrong, acknowledges, sent_up_to }) {
    if (answer === 'ACK' && wrong === 'acknowledgement')
      return `${dialled} answered a connect with an ACK of an older connection that it still has with ${from} (acknowledges ${acknowledges}, ${sent_up_to} was sent): it was reset, and is dialled again`;
    const what =
      wrong === 'timestamp'
        ? 'echoes a timestamp that was not sent'
        : `acknowledges ${acknowledges} where ${sent_up_to} was sent`;
    return `${dialled} answered a connect with a ${answer} that ${what}, so it was reset`;
  },
  advice({ dialled, from, answer, netns }, { saddr, daddr, dport }) {
    return [
      ...(answer === 'ACK'
        ? [
            `${daddr} has a connection with ${from} already, from an earlier run or another host behind one address: this reset ends it, and the SYN that is sent again connects. There: \`ss -tn dst ${word(bracketed(saddr))}\``,
          ]
        : []),
      `something between ${saddr} and ${dialled} answers in its place or changes numbers (SYN proxy, firewall): compare both ends: \`${inNetns(netns, `tcpdump -nSvi any tcp port ${dport} and host ${daddr}`)}\``,
    ];
  },
});
