// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { byReason, reasonText } from '../shared/by-reason.ts';
import { NO_REASON } from '../shared/kernel.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceKey, deviceName } from '../shared/wording.ts';

const SAYS: Readonly<Record<string, string>> = {
  IPV6DISABLED: 'is IPv6, which is turned off for its device',
  [NO_REASON]: 'is IPv6, which its device does not have at all',
};

export default defineCause({
  id: 'ipv6-disabled',
  title: 'IPv6 is turned off where it came',
  severity: 'warning',
  explains:
    'An IPv6 segment came in by a device for which IPv6 is turned off, or whose MTU is too small for it.',
  seenAs: ['connect-hangs'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    const match = byReason(SAYS, event, known);
    if (match?.evidence.drop_reason !== NO_REASON || event.kind !== 'drop') return match;
    // It has other reasons for all that is wrong with a packet, but for no memory.
    const by = known.symbol(event.body.location)?.name ?? '';
    const has_none = known.hasDropReasons() && /^ip6_rcv_core(\.|$)/.test(by);
    return has_none ? { ...match, basis: 'inferred' } : null;
  },
  summary: (evidence) => reasonText(SAYS, evidence),
  advice({ interface: device, netns, drop_reason }, { daddr }) {
    const dev = deviceName(device) ?? 'DEV';
    if (drop_reason === NO_REASON)
      return [
        `IPv6 asks for an MTU of 1280 bytes, and is taken from a device that has less. What is it? \`${inNetns(netns, `ip link show dev ${dev}`)}\``,
        `then give ${dev} at least that, and its addresses again, which went with it: \`${inNetns(netns, `ip link set dev ${dev} mtu 1280`)}\` \`${inNetns(netns, `ip -6 address show dev ${dev}`)}\``,
      ];
    const key = deviceKey(dev);
    return [
      `is it meant? \`${inNetns(netns, `sysctl net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.${key}.disable_ipv6`)}\``,
      `then ${daddr} must not be announced or resolved: take the address out of DNS and off the host; else turn it on: \`${inNetns(netns, `sysctl -w net.ipv6.conf.${key}.disable_ipv6=0`)}\``,
    ];
  },
});
