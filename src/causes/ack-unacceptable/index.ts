// SPDX-License-Identifier: Apache-2.0

import { reversed, service } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { segmentOf } from '../shared/segments.ts';

const SAYS: Readonly<Record<string, string>> = {
  TCP_ACK_UNSENT_DATA: 'what was not sent yet',
  TCP_INVALID_ACK_SEQUENCE: 'what was not sent',
  TCP_OLD_ACK: 'what was acknowledged long ago',
  TCP_TOO_OLD_ACK: 'what was acknowledged long ago',
};

export default defineCause({
  id: 'ack-unacceptable',
  title: 'it acknowledges what was never sent',
  severity: 'warning',
  explains:
    'A segment acknowledges data that this end of the connection never sent: another connection’s, or forged.',
  seenAs: ['first-request-fails', 'stands-still'],
  needs: ['drop', 'reset_sent'],
  on: ['drop', 'reset_sent'],
  match(event, known) {
    if (event.kind !== 'drop' && event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    if (!packet || sock?.state === TCP_STATE.SYN_SENT) return null;
    const isReset = event.kind === 'reset_sent';
    const name = isReset ? known.resetReason(reason) : known.dropReason(reason);
    // What acknowledges too little is only late, unless it was answered with a reset.
    if (SAYS[name] === undefined || (!isReset && name.endsWith('OLD_ACK'))) return null;
    return {
      evidence: {
        ...segmentOf(packet),
        acknowledges: packet.ack_seq,
        sent_up_to: sock?.snd_nxt || null,
        reset: isReset,
        kernel_reason: name,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${name}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary({ from, to, flags, acknowledges, sent_up_to, reset, kernel_reason }) {
    const then = reset ? 'it was reset' : 'it was dropped';
    const up_to = sent_up_to === null ? '' : ` (${acknowledges}, sent up to ${sent_up_to})`;
    return `[${flags}] ${from} → ${to} acknowledges ${SAYS[kernel_reason]}${up_to}, so ${then}`;
  },
  advice({ netns }, flow) {
    const { saddr, dport } = reversed(flow);
    return [
      `has a balancer or NAT given ${saddr}'s peer two connections with one port, or does something answer in its place? What comes: \`${inNetns(netns, `tcpdump -nSi any tcp port ${dport} and host ${saddr}`)}\``,
      `once in a while it is a forged segment, which this host is right to refuse: \`${inNetns(netns, 'nstat -az TcpExtTCPChallengeACK')}\``,
    ];
  },
});
