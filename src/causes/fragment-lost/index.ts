// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

const SAYS: Readonly<Record<string, string>> = {
  FRAG_REASM_TIMEOUT: 'waited for its other fragments in vain',
  FRAG_TOO_FAR: 'is a fragment whose others are too far behind',
};

export default defineCause({
  id: 'fragment-lost',
  title: 'its fragments did not come together',
  severity: 'warning',
  explains:
    'A segment came in IP fragments that did not all arrive in time, so none of it was used.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ netns }, { saddr, daddr }) {
    return [
      `does it go on? \`${inNetns(netns, 'nstat -az IpReasmFails Ip6ReasmFails IpReasmTimeout')}\``,
      `TCP needs no fragments: something between ${saddr} and ${daddr} (a tunnel with a smaller MTU) cuts segments up. On ${saddr}: \`tracepath -n ${daddr}\` Have it lower the MSS instead, or set the MTU of the route`,
    ];
  },
});
