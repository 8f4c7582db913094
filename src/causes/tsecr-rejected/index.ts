// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

const SAYS: Readonly<Record<string, string>> = {
  TCP_RFC7323_TSECR: 'echoes a timestamp that this host never sent',
};

export default defineCause({
  id: 'tsecr-rejected',
  title: 'it echoes a timestamp that was never sent',
  severity: 'warning',
  explains:
    'A segment echoes a timestamp that this host never sent: something on the way rewrites timestamps.',
  seenAs: ['first-request-fails', 'stands-still'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ netns }, { saddr, daddr }) {
    return [
      `what leaves, and what comes back? Compare ecr with the TS val that was sent: \`${inNetns(netns, `tcpdump -nvi any tcp and host ${saddr} and host ${daddr}`)}\``,
      `does it go on? \`${inNetns(netns, 'nstat -az TcpExtTSEcrRejected')}\``,
      `a balancer or firewall between ${saddr} and ${daddr} that answers for its target (SYN proxy) has to translate timestamps in both directions`,
    ];
  },
});
