// SPDX-License-Identifier: Apache-2.0

import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import { TCP_FLAG } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { byService } from '../shared/groups.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';

/** RFC 8684, 3.6. */
const SAYS: Readonly<Record<string, string>> = {
  MPTCP_RST_EUNSPEC: 'for no reason that it tells',
  MPTCP_RST_EMPTCP: 'because what came breaks the protocol (MPTCP)',
  MPTCP_RST_ERESOURCE: 'because it has no room for more',
  MPTCP_RST_EPROHIBIT: 'because it may not be used',
  MPTCP_RST_EWQ2BIG: 'because too much waits in it',
  MPTCP_RST_EBADPERF: 'because it is too slow or loses too much',
  MPTCP_RST_EMIDDLEBOX: 'because something on the way changes it',
};

export default defineCause({
  id: 'mptcp-reset',
  title: 'MPTCP ended one of its subflows',
  severity: 'info',
  explains:
    'MPTCP on this host reset a subflow; the connection goes on over the others, or as plain TCP, if there are any.',
  seenAs: ['reset'],
  needs: ['reset_sent'],
  on: ['reset_sent'],
  supersedes: ['reset-by-peer'],
  match(event, known) {
    if (event.kind !== 'reset_sent') return null;
    const { packet, sock, reason } = event.body;
    const name = known.resetReason(reason);
    const flow = packet?.flow ?? sock?.flow;
    if (SAYS[name] === undefined || !flow) return null;
    return {
      evidence: {
        local: packet ? endpoint(flow.daddr, flow.dport) : local(flow),
        peer: packet ? endpoint(flow.saddr, flow.sport) : remote(flow),
        reset_reason: name,
        joined: !packet || (packet.flags & TCP_FLAG.syn) === 0,
        netns: event.netns,
      },
      basis: 'direct',
      subject: 'flow',
      where: service(flow),
      flow,
      group: `${byService(event.netns, flow)} ${name}`,
      owner: ownerOf(sock?.owner),
    };
  },
  summary: ({ local: at, peer, reset_reason, joined }) =>
    joined
      ? `MPTCP reset the subflow ${at} → ${peer} ${SAYS[reset_reason]}`
      : `MPTCP at ${at} refused a SYN of ${peer} that was to be one more subflow, ${SAYS[reset_reason]}`,
  advice({ local: at, peer, netns, joined }) {
    return [
      ...(joined
        ? []
        : [
            `does ${at} have the connection that ${peer} wants to join (MPTcpExtMPJoinNoTokenFound says how often not)? A restart of the service forgets it, and a balancer in front of several hosts sends a subflow to another one than the connection: \`${inNetns(netns, 'nstat -az MPTcpExtMPJoinNoTokenFound MPTcpExtMPJoinSynRx')}\` \`${inNetns(netns, 'ss -Man')}\``,
          ]),
      `what MPTCP counts: \`${inNetns(netns, "nstat -az 'MPTcpExt*'")}\``,
      `which addresses may be subflows, and how many: \`${inNetns(netns, 'ip mptcp endpoint show')}\` \`${inNetns(netns, 'ip mptcp limits show')}\``,
    ];
  },
});
