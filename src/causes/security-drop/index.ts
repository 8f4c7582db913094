// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { tellsFilters } from '../shared/security.ts';
import { SILENCE } from '../shared/silence.ts';

const SAYS: Readonly<Record<string, string>> = {
  SECURITY_HOOK: 'was refused by a security module',
  SOCKET_FILTER:
    'was refused by a security module, a filter of its socket or cgroup that is gone since, or for want of memory',
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
  match(event, known) {
    const match = byReason(SAYS, event, known);
    if (!match || event.kind !== 'drop' || match.evidence.drop_reason === 'SECURITY_HOOK')
      return match;
    const { cgroup, socket_filter, socket_filter_id } = event.body;
    const told = known.socketHooks(cgroup, socket_filter_id);
    const has_filter = socket_filter > 0 || told === null || told.hooked.length > 0;
    return has_filter || tellsFilters(known) ? null : { ...match, basis: 'inferred' };
  },
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ from, to, netns }) {
    return [
      `what did it refuse? \`journalctl -k --grep 'avc.*denied|apparmor|smack'\` and programs of the BPF LSM, which log nothing: \`bpftool prog show | grep -w lsm\``,
      `${to} may not receive from ${from}: allow it in the policy (labels of packets and peers: NetLabel, labelled IPsec, SECMARK): \`${inNetns(netns, 'nft list ruleset')}\``,
    ];
  },
});
