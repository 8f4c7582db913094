// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

const SAYS: Readonly<Record<string, string>> = {
  SECURITY_HOOK: 'was refused by a security module',
};

export default defineCause({
  id: 'security-drop',
  title: 'a security module refused it',
  severity: 'warning',
  explains:
    'A security module of this host (SELinux, Smack, AppArmor) does not let the socket receive the segment.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ from, to, netns }) {
    return [
      `what did it refuse? \`journalctl -k --grep 'avc.*denied|apparmor|smack'\``,
      `${to} may not receive from ${from}: allow it in the policy (labels of packets and peers: NetLabel, labelled IPsec, SECMARK): \`${inNetns(netns, 'nft list ruleset')}\``,
    ];
  },
});
