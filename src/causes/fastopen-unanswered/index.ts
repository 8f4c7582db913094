// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';
import { word } from '../shared/wording.ts';

export default defineCause({
  id: 'fastopen-unanswered',
  title: 'a SYN with data was not answered, one without was',
  severity: 'info',
  explains:
    'A connect of this host with TCP Fast Open was answered only when its SYN was sent again without data: a box on the way drops such SYNs, or one was lost.',
  seenAs: ['connect-late', 'slow'],
  needs: ['state'],
  on: ['state_change'],
  supersedes: ['syn-resent'],
  match(event) {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock } = event.body;
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.ESTABLISHED) return null;
    const { daddr, dport } = sock.flow;
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        syns_sent: sock.retransmits + 1,
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${daddr} ${dport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ dialled, syns_sent }) {
    const again = syns_sent === 2 ? 'the second one' : `number ${syns_sent}`;
    return `${dialled} did not answer the SYN that had data in it (TCP Fast Open), but ${again}, which had none: the connect succeeded late`;
  },
  advice({ dialled, from }, { saddr, daddr, dport }) {
    return [
      `each time? Then a firewall or a balancer between drops SYNs with data or with the Fast Open option. Does a SYN of some length arrive? On ${daddr}: \`tcpdump -nvi any tcp port ${dport} and host ${saddr}\` Which rule of a hop drops it: \`tcpwhy trace ${word(dialled)}\` there`,
      `now and then: a segment was lost, the SYN or its answer, as others are: \`nstat -az TcpExtTCPFastOpenActiveFail TcpExtTCPSynRetrans\` on ${saddr}`,
      `until that is mended ${from} connects at once without Fast Open: \`sysctl -w net.ipv4.tcp_fastopen=0\` in its namespace, or turn it off in the program (TCP_FASTOPEN_CONNECT, MSG_FASTOPEN)`,
    ];
  },
});
