// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { flagsText } from '../../tcp/flags.ts';
import { service } from '../../tcp/service.ts';
import type { Hooked } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { type Dropper, dropper, programText } from '../shared/droppers.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import { tellsFilters } from '../shared/security.ts';
import { SILENCE } from '../shared/silence.ts';
import { deviceName, inWords } from '../shared/wording.ts';

/** Hooks of a device at which programs run that drop with one reason. */
const HOOKS: { readonly [D in Dropper]?: readonly string[] } = {
  xdp: ['xdp', 'xdp generic', 'xdp offloaded'],
  'tc ingress': ['tc ingress', 'tcx ingress', 'netkit peer'],
  'tc egress': ['tc egress', 'tcx egress', 'netkit primary'],
  redirect: [
    ...['tc ingress', 'tcx ingress', 'netkit peer'],
    ...['tc egress', 'tcx egress', 'netkit primary'],
  ],
  'cgroup egress': ['cgroup egress'],
  // The kernel has one reason for both.
  'socket filter': ['cgroup ingress', 'socket filter'],
  sockmap: ['sockmap'],
};

const OF_SOCKETS: ReadonlySet<Dropper> = new Set(['cgroup egress', 'socket filter', 'sockmap']);
const SOCKET_HOOKS: ReadonlySet<string> = new Set([...OF_SOCKETS, 'cgroup ingress']);
/** A filter that is no program of its own. */
const CLASSIC = 'the socket’s own filter';

export default defineCause({
  id: 'bpf-drop',
  title: 'a BPF program dropped it',
  severity: 'warning',
  explains:
    'A BPF program of this host (XDP, tc, cgroup, socket filter) dropped the segment: a network policy, or a fault in it.',
  seenAs: ['dropped'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match(event, known) {
    if (event.kind !== 'drop') return null;
    const { packet, sock, reason, location } = event.body;
    const by = dropper(
      known.dropReason(reason),
      known.symbol(location)?.name,
      known.hasDropReasons(),
    );
    if (by === null || !HOOKS[by]) return null;
    const { cgroup, socket_filter, socket_filter_id, sender } = event.body;
    const ofSocket = OF_SOCKETS.has(by);
    const told = ofSocket
      ? known.socketHooks(cgroup, socket_filter_id)
      : known.hooksOf(event.netns, packet.device);
    // What was loaded since did not drop it: programs are replaced while others are looked at.
    const hooked = (told?.hooked ?? []).filter(
      ({ hook, loaded_ktime_ns }) =>
        HOOKS[by]?.includes(hook) && Number(loaded_ktime_ns) <= event.ktime_ns,
    );
    const isClassic = socket_filter > 0 && socket_filter_id === 0;
    const tells = by !== 'socket filter' || tellsFilters(known);
    if (!tells && told !== null && hooked.length === 0 && !isClassic) return null;
    const programs = hooked.filter(({ program_id }) => program_id > 0);
    // A filter without a program is tc's own, and a kernel without reasons drops for others there too.
    if (!ofSocket && hooked.length > 0 && programs.length === 0) return null;
    if (hooked.length === 0 && !known.hasDropReasons() && by !== 'xdp' && by !== 'sockmap')
      return null;
    // A veth drops for others there too: segments that it has no memory for.
    if (by === 'xdp' && known.symbol(location)?.name.startsWith('veth_') && hooked.length === 0)
      return null;
    const { saddr, daddr, sport, dport } = packet.flow;
    const filters = hooked.length - programs.length;
    const sure = by === 'xdp' || by === 'redirect' || (known.hasDropReasons() && tells);
    return {
      evidence: {
        from: endpoint(saddr, sport),
        to: endpoint(daddr, dport),
        flags: flagsText(packet.flags),
        hook: programs.length === 1 ? (programs[0]?.hook ?? by) : by,
        interface: ofSocket ? null : packet.device || null,
        cgroup: programs.length === 1 ? programs[0]?.cgroup_path || null : null,
        programs: [...programs.map(programText), ...(isClassic ? [CLASSIC] : [])],
        other_filters: filters || null,
        program_ids: programs.map(({ program_id }) => program_id),
        held_by: [...new Set(programs.flatMap(holdersOf))],
        programs_known: told !== null,
        netns: event.netns,
        ...(by === 'redirect' && { redirected: true }),
      },
      basis: sure && programs.length + Number(isClassic) + filters === 1 ? 'direct' : 'inferred',
      subject: 'flow',
      where: service(packet.flow),
      flow: packet.flow,
      group: `${event.netns} ${service(packet.flow)} ${by} ${ofSocket ? '' : packet.device}`,
      owner: ownerOf(sock?.owner) ?? ownerOf(sender ?? undefined),
    };
  },
  summary({
    from,
    to,
    flags,
    hook,
    interface: device,
    cgroup,
    programs,
    other_filters,
    programs_known,
    redirected,
  }) {
    const at = SOCKET_HOOKS.has(hook)
      ? `at the ${hook}${cgroup === null ? '' : ` of ${cgroup}`}`
      : `at ${hook === 'redirect' ? 'tc' : hook} of ${device ?? 'a device'}`;
    const [only, ...more] = programs;
    const who =
      only === undefined
        ? `a program or filter ${at}${programs_known ? ', gone since,' : ''}`
        : more.length === 0 && other_filters === null
          ? only === CLASSIC
            ? CLASSIC
            : `program ${only} ${at}`
          : `one of ${programs.join(', ')}${other_filters === null ? '' : ` and ${other_filters} filters`} ${at}`;
    if (redirected)
      return `${who} redirected [${flags}] ${from} → ${to} to where it could not go (a device that is gone or down or takes less, or a next hop that does not answer): it was dropped`;
    return `${who} dropped [${flags}] ${from} → ${to}`;
  },
  advice({ redirected, to, hook, interface: device, program_ids, programs, held_by, netns }) {
    const dev = deviceName(device) ?? 'DEV';
    const show = SOCKET_HOOKS.has(hook)
      ? '`bpftool cgroup tree`'
      : hook.startsWith('tc ')
        ? `\`${inNetns(netns, `tc filter show dev ${dev} ${hook.slice(3)}`)}\``
        : `\`${inNetns(netns, `bpftool net show dev ${dev}`)}\``;
    const ids = program_ids.map((id) => `\`bpftool prog show id ${id}\``).join(' ');
    return [
      `see what is there: ${show}${ids && ` and whose it is: ${ids}`}`,
      ...(redirected
        ? [
            `which device does it send to, and is that there and up? \`${inNetns(netns, 'ip -br link show')}\` \`bpftool map\` lists the tables that such programs take numbers of devices from: one that was made anew (a pod that was started again) has another number`,
          ]
        : []),
      ...(programs.includes(CLASSIC)
        ? [`the process that has the socket of ${to} gave it a filter (SO_ATTACH_FILTER)`]
        : []),
      ...(held_by.length > 0
        ? [
            `${inWords(held_by.join(', '))} keeps it: its policy for this connection decides, look in its own log and settings`,
          ]
        : []),
      ...(program_ids.length > 1
        ? [
            `which of them it was, the kernel does not say; what each does: ${program_ids.map((id) => `\`bpftool prog dump xlated id ${id}\``).join(' ')}`,
          ]
        : []),
    ];
  },
});

function holdersOf({ processes, pins }: Hooked): string[] {
  return [...processes.map(({ comm, pid }) => `${comm} (${pid})`), ...pins];
}
