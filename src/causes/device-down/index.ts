// SPDX-License-Identifier: Apache-2.0

import { service } from '../../tcp/service.ts';
import { defineCause } from '../define.ts';
import { dropper } from '../shared/droppers.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { segmentOf } from '../shared/segments.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName, inWords } from '../shared/wording.ts';

/** What a tun or tap device does with what nobody has read, when its program closes it. */
const UNREAD = new Set(['tun_queue_purge', 'tun_ptr_free']);
const CLOSED = 'closed by its program';

export default defineCause({
  id: 'device-down',
  title: 'its device is down',
  severity: 'error',
  explains:
    'A segment was dropped because its device is down, has no carrier, or is one that nobody reads from.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: [...SILENCE, 'neighbour-failed'],
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, sender, reason, location } = event.body;
    const drop_reason = known.dropReason(reason);
    const by = dropper(drop_reason, known.symbol(location)?.name, known.hasDropReasons());
    const isUnread = UNREAD.has(known.symbol(location)?.name ?? '');
    const sends = by === 'device' || by === 'qdisc';
    if (!sends && !isUnread && (by !== 'tc egress' || known.hasDropReasons())) return null;
    const state = isUnread ? CLOSED : known.hooksOf(event.netns, packet.device)?.state || null;
    const isNotReady = drop_reason === 'DEV_READY';
    if (state === null && !isNotReady) return null;
    return {
      evidence: { ...segmentOf(packet), state: state ?? 'not ready', netns: event.netns },
      // A program that ends its tunnel does that, and then there is no more to send by it.
      ...(isUnread && { severity: 'info' }),
      basis: isNotReady || known.hasDropReasons() ? 'direct' : 'inferred',
      subject: 'flow',
      where: packet.device || service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${packet.device}`,
      owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
    };
  },
  summary({ from, to, flags, interface: device, state }) {
    const name = device ?? 'the device';
    if (state === CLOSED)
      return `[${flags}] ${from} → ${to} waited in ${name} for its program, which closed it and had not read that`;
    const is = state === 'no carrier' ? 'has no carrier' : `is ${state}`;
    return `${name} ${is}, so it dropped [${flags}] ${from} → ${to}`;
  },
  advice({ to, interface: device, state, netns }) {
    const name = deviceName(device) ?? 'DEV';
    const show = inNetns(netns, `ip -d link show dev ${name}`);
    if (state === CLOSED)
      return [
        `which program has ${device === null ? 'the tun or tap device' : inWords(device)}, and why does it not read? While it hangs, all that is sent by this device gets no answer: its own log, and \`${show}\``,
      ];
    const then =
      state === 'down'
        ? `set it up again: \`${inNetns(netns, `ip link set dev ${name} up`)}\``
        : state === 'no carrier'
          ? `what is at its other end? A cable, a switch port, a virtual machine or the other device of a pair that is down: \`${show}\``
          : `${to} is reached by a tun or tap device whose program has not opened it yet, or is gone: start that`;
    return [
      `${device === null ? 'the device' : inWords(device)}: since when, and who did it? \`${show}\` \`journalctl -k --grep ${name}\``,
      then,
    ];
  },
});
