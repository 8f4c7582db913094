// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  IPV6DISABLED: 'is IPv6, which is turned off for its device',
};

export default defineCause({
  id: 'ipv6-disabled',
  title: 'IPv6 is turned off where it came',
  severity: 'warning',
  explains: 'An IPv6 segment came in by a device for which IPv6 is turned off.',
  seenAs: ['connect-hangs'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => byReason(SAYS, event, known),
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns }, { daddr }) {
    const dev = deviceKey(deviceName(device) ?? 'DEV');
    return [
      `is it meant? \`${inNetns(netns, `sysctl net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.${dev}.disable_ipv6`)}\``,
      `then ${daddr} must not be announced or resolved: take the address out of DNS and off the host; else turn it on: \`${inNetns(netns, `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`)}\``,
    ];
  },
});
