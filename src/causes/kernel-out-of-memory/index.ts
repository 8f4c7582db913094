// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { SILENCE } from '../shared/silence.ts';

const SAYS: Readonly<Record<string, string>> = {
  NOMEM: 'found no memory in the kernel',
  PFMEMALLOC: 'came in memory that is kept for emergencies: there was no other',
  SKB_GSO_SEG: 'could not be cut up into segments',
  SKB_UCOPY_FAULT: 'could not be copied to or from a process',
};

export default defineCause({
  id: 'kernel-out-of-memory',
  title: 'the kernel had no memory for it',
  severity: 'error',
  explains: 'The kernel had no memory left for the segment, so it dropped it.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ to }) {
    return [
      `how much is left, and who has it? \`grep -E 'MemFree|MemAvailable|Slab' /proc/meminfo\` \`journalctl -k --grep 'page allocation failure|Out of memory'\``,
      `keep more free for what arrives at ${to}: \`sysctl vm.min_free_kbytes\``,
    ];
  },
});
