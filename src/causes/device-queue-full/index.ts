// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  CPU_BACKLOG: 'found the queue of its CPU full',
  FULL_RING: 'found the queue of its device full',
};

export default defineCause({
  id: 'device-queue-full',
  title: 'a queue of this host for what arrives is full',
  severity: 'warning',
  explains:
    'A segment was dropped because it came faster than this host, or the program behind a tun or tap device, took packets.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns }) {
    const dev = deviceName(device) ?? 'DEV';
    return [
      `which CPU cannot keep up? The second column counts drops: \`grep -n . /proc/net/softnet_stat\``,
      `a queue of a CPU: let more CPUs take part (RSS, RPS), or let it be longer: \`sysctl -w net.core.netdev_max_backlog=4000\``,
      `a tun, tap or veth device: whoever reads from ${dev} is too slow: \`${inNetns(netns, `ip -s -s link show dev ${dev}`)}\``,
    ];
  },
});
