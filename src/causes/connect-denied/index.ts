// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { familyOf, isLoopback } from '../../tcp/address.ts';
import { local, remote } from '../../tcp/endpoint.ts';
import { ERRNO, errnoName } from '../../tcp/errno.ts';
import type { Event } from '../../wire/event.ts';
import type { ConnectAsked, Hooked } from '../../wire/types.gen.ts';
import { defineCause } from '../define.ts';
import { portAdvice, portRefusal } from '../shared/binding.ts';
import {
  CONNECT,
  choseLoopback,
  FOR_IPV6_ONLY,
  NO_INTERFACE,
  refusalOf,
  unfit,
} from '../shared/denied.ts';
import { programAt } from '../shared/dialled-by.ts';
import { inNetns } from '../shared/netns.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  bindsWithoutIpv6Advice,
  forIpv6OnlyAdvice,
  noInterfaceAdvice,
  sameEndsAdvice,
  withoutIpv6Advice,
} from '../shared/unfit-advice.ts';
import { inWords } from '../shared/wording.ts';

/** Modules that have a say when a process connects, and the errno that each gives; null: any. */
const MODULES: Readonly<Record<string, number | null>> = {
  apparmor: ERRNO.EACCES,
  bpf: null,
  landlock: ERRNO.EACCES,
  selinux: ERRNO.EACCES,
  smack: ERRNO.EACCES,
  tomoyo: ERRNO.EPERM,
};
const MODULE = 'security module';
const SOME_MODULE = 'a security module (landlock, SELinux, AppArmor)';
const HERE_BY_NOW = 'and is one by now';
const DAD = 'duplicate address detection';
const NO_IPV6 = 'this host has no IPv6 address (disable_ipv6?)';
const CHOSEN = 'the program chose that port';
const SECCOMP = 'the seccomp filter of the process';
const GONE_ROUTE = 'a route or rule that forbade it and was gone when the host was asked';
const IPSEC = 'an IPsec policy that blocks it';

interface Denial {
  /** Who may have said no, or why it cannot be; several: one of them. */
  by: string[];
  kind: 'reason' | 'program' | 'module' | 'unknown';
  sure: boolean;
}

export default defineCause({
  id: 'connect-denied',
  title: 'a connect was refused before there was any packet',
  severity: 'warning',
  explains:
    'connect() or bind() failed at once: a security module, a cgroup’s BPF program or a seccomp filter forbids it, its address cannot be, or its port is taken.',
  seenAs: ['connect-error'],
  needs: ['denied'],
  on: ['call_failed'],
  match(event, known) {
    if (event.kind !== 'call_failed' || refusalOf(event, known)) return null;
    const { call, err, sock } = event.body;
    const dials = call === CONNECT;
    // That no port is left to be given is `ports-exhausted`.
    if (!dials && err === ERRNO.EADDRINUSE && sock.flow.sport === 0) return null;
    const port = dials ? null : portRefusal(event, known);
    const { by, kind, sure } = denial(event, known);
    const asked = known.asked(event);
    const hooked = kind === 'program' ? (asked?.hooked ?? []) : [];
    const { saddr, sport, daddr, dport } = sock.flow;
    const where = dials ? remote(sock.flow) : local(sock.flow);
    return {
      evidence: {
        call: dials ? 'connect' : 'bind',
        dialled: dials ? remote(sock.flow) : null,
        from: local(sock.flow),
        error: errnoName(err),
        denied_by: by,
        is_reason: kind === 'reason',
        hook: hooked[0]?.hook ?? null,
        cgroup: known.cgroupPath(event.body.cgroup),
        program_ids: kind === 'program' ? programs(event.body).map(({ id }) => id) : [],
        held_by: [...new Set(hooked.flatMap(holdersOf))],
        interface: asked?.device || null,
        netns: event.netns,
        ...port?.evidence,
      },
      basis: sure ? 'direct' : 'inferred',
      subject: 'flow',
      where,
      flow: sock.flow,
      group: `${event.netns} ${dials ? `${daddr} ${dport}` : `bind ${saddr}${port ? ` ${sport} ${port.evidence.port_held_by}` : ''}`} ${err} ${port ? '' : by.join()}`,
      owner: ownerOf(sock.owner),
      // Hosts without IPv6 try each of its addresses first, and go on to the next.
      ...(dials &&
        err === ERRNO.EADDRNOTAVAIL &&
        isWithoutIpv6(daddr, asked) && { severity: 'info' as const }),
    };
  },
  summary({ call, dialled, from, error, denied_by, is_reason }) {
    const what = call === 'connect' ? `connect to ${dialled}` : `bind to ${from}`;
    const [only, ...more] = denied_by;
    if (is_reason)
      return `${what} failed before there was a packet (${error}): ${inWords(only ?? '')}`;
    const who = more.length === 0 ? only : `one of ${inWords(denied_by.join(', '))}`;
    return `${what} was denied before there was a packet (${error}) by ${who}`;
  },
  advice(evidence, flow) {
    const { call, error, denied_by, is_reason, program_ids, held_by, netns } = evidence;
    const { saddr, daddr } = flow;
    const { port_held_by } = evidence;
    if (port_held_by !== undefined) return portAdvice({ ...evidence, port_held_by }, flow, netns);
    const modules = denied_by.some((one) => one === SOME_MODULE || one.startsWith(MODULE));
    const seccomp = denied_by.includes(SECCOMP);
    const known = program_ids.length > 0 || modules || seccomp;
    const six = familyOf(call === 'connect' ? daddr : saddr) === 6 ? '-6 ' : '';
    const see = `\`${inNetns(netns, `ip ${six}addr`)}\``;
    if (is_reason && denied_by.some((one) => one.includes(DAD)))
      return [
        `which addresses are not usable yet, and which are another host’s too: \`${inNetns(netns, 'ip -6 addr show tentative')}\` and \`${inNetns(netns, 'ip -6 addr show dadfailed')}\``,
        'who has it too? The MAC is in the kernel log (“duplicate address”): `journalctl -k --grep duplicate` Once that host has given it up, take it away here and add it again: nothing tries by itself',
        'not usable yet: dial or bind a second later, or let it be used meanwhile (optimistic_dad), which services that start with the host ask for with IPV6_FREEBIND',
      ];
    if (is_reason && denied_by.some((one) => one.endsWith(HERE_BY_NOW)))
      return [
        `it was asked for too early: let the service start when the address is there (After=network-online.target), or bind before it is (IP_FREEBIND, \`${inNetns(netns, 'sysctl -w net.ipv4.ip_nonlocal_bind=1')}\`)`,
        `who brings it, and when: \`${inNetns(netns, 'ip -ts monitor address')}\``,
      ];
    if (is_reason && denied_by.includes(NO_IPV6))
      return call === 'connect'
        ? withoutIpv6Advice(daddr, netns)
        : bindsWithoutIpv6Advice(saddr, netns);
    if (is_reason && denied_by.some((one) => one.includes(CHOSEN)))
      return sameEndsAdvice(flow, netns);
    if (is_reason && denied_by.includes(FOR_IPV6_ONLY)) return forIpv6OnlyAdvice(daddr, netns);
    if (is_reason && denied_by.some((one) => one.includes(NO_INTERFACE)))
      return noInterfaceAdvice(flow, netns);
    if (is_reason)
      return [
        ...(call === 'connect' && isLoopback(saddr) && error === 'EINVAL'
          ? [choseLoopback({ saddr, daddr })]
          : []),
        `what this host has: ${see}`,
        call === 'connect'
          ? `how it would send it: \`${inNetns(netns, `ip ${six}route get ${daddr}`)}\` Who dials it, and how: the settings of the process`
          : `let the process take an address that is here, or add this one: \`${inNetns(netns, `ip ${six}addr add ${saddr}/PREFIX dev DEV`)}\``,
      ];
    return [
      ...(program_ids.length > 0
        ? [
            `the programs of its cgroup: \`bpftool cgroup tree\` and what they do: ${program_ids.map((id) => `\`bpftool prog dump xlated id ${id}\``).join(' ')}${held_by.length > 0 ? ` Kept by ${inWords(held_by.join(', '))}: its own log and settings say why` : ''}`,
          ]
        : []),
      ...(modules
        ? [
            'which security module it was, and by what rule: `journalctl -k --grep denied`, or with the audit daemon its own log. A process that restricts itself (landlock) is asked for its own settings',
          ]
        : []),
      ...(seccomp
        ? ['does it have a filter, and who gave it one? `grep Seccomp /proc/PID/status`']
        : []),
      ...(known && !denied_by.includes(GONE_ROUTE)
        ? []
        : [
            `is it still so? \`${inNetns(netns, `ip ${six}route get ${daddr}`)}\` and \`${inNetns(netns, `ip ${six}rule`)}\` Who takes routes away and brings them: \`${inNetns(netns, 'ip -ts monitor route rule')}\``,
          ]),
      ...((known || error !== 'EPERM') && !denied_by.includes(IPSEC)
        ? []
        : [
            `policies of IPsec whose action is to block, and how often one did (XfrmOutPolBlock): \`${inNetns(netns, 'ip xfrm policy')}\` and \`${inNetns(netns, 'grep . /proc/net/xfrm_stat')}\``,
          ]),
    ];
  },
});

function denial(event: Event<'call_failed'>, known: Knowledge): Denial {
  const asked = known.asked(event);
  const { call, err, seccomp } = event.body;
  const reason =
    call === CONNECT
      ? reasonOf(event.body, asked)
      : (portRefusal(event, known)?.why ?? reasonOfBind(event.body, asked));
  if (reason !== null) return { by: [reason], kind: 'reason', sure: true };
  const own = programs(event.body).map((program) => programText(program, asked));
  const told = asked?.modules ?? [];
  const named = told
    .filter((name) => name in MODULES && (MODULES[name] ?? err) === err)
    .map((name) => `${MODULE} ${name}`);
  const denies = err === ERRNO.EACCES || err === ERRNO.EPERM;
  const modules = told.length > 0 ? named : err === ERRNO.EACCES ? [SOME_MODULE] : [];
  const dials = call === CONNECT;
  const by = [
    ...own,
    ...modules,
    ...(seccomp && denies ? [SECCOMP] : []),
    // That there is a route when the host is asked proves nothing of a moment before.
    ...(dials && err === ERRNO.EACCES ? [GONE_ROUTE] : []),
    ...(dials && err === ERRNO.EPERM && asked?.ipsec_blocked ? [IPSEC] : []),
  ];
  if (by.length > 0)
    return {
      by,
      kind: own.length > 0 ? 'program' : 'module',
      sure: by.length === 1 && by[0] !== GONE_ROUTE && by[0] !== IPSEC,
    };
  const unknown =
    call !== CONNECT
      ? 'something that the host does not tell of'
      : asked === null
        ? 'its route or something else of its namespace, which is gone by now'
        : err === ERRNO.EPERM
          ? 'an IPsec policy that blocks it, or something that has changed since: the same connect has a route now'
          : err === ERRNO.EINVAL
            ? 'the kernel, which may not take the address as the program gave it (too short for its socket, as one of IPv4 for IPv6), or something that has changed since: the same connect has a route now'
            : 'something that has changed since: the same connect has a route by now';
  return { by: [unknown], kind: 'unknown', sure: false };
}

/** What makes a bind impossible, whoever asks; null: somebody forbids it. */
function reasonOfBind(
  { err, sock }: Event<'call_failed'>['body'],
  asked: ConnectAsked | null,
): string | null {
  const { saddr } = sock.flow;
  if (err !== ERRNO.EADDRNOTAVAIL) return null;
  if (isWithoutIpv6(saddr, asked)) return NO_IPV6;
  if (!asked || asked.source_missing) return `${saddr} is no address of this host`;
  if (asked.tentative + asked.duplicate === 0)
    return familyOf(saddr) === 6
      ? `${saddr} was not usable, and is by now: it was added since, or ${DAD} ended`
      : `${saddr} was no address of this host, ${HERE_BY_NOW}`;
  if (asked.duplicate === 0) return `${saddr} is not usable yet (${DAD})`;
  const taken = `another host has ${saddr} too (${DAD} failed)`;
  return asked.tentative === 0 ? taken : `${saddr} is not usable yet, or ${taken}`;
}

/** The same of a connect. */
function reasonOf(failed: Event<'call_failed'>['body'], asked: ConnectAsked | null): string | null {
  const { err, sock, routed } = failed;
  const { daddr } = sock.flow;
  const unfitting = unfit(failed, asked);
  if (unfitting !== null) return unfitting;
  if (err === ERRNO.ENODEV || (err === ERRNO.ENETUNREACH && asked?.state === 'gone'))
    return 'the device that it shall leave by is gone';
  if (err === ERRNO.EADDRNOTAVAIL && routed)
    return `another socket has ${local(sock.flow)} → ${remote(sock.flow)} already, perhaps in TIME_WAIT, and ${CHOSEN}`;
  if (err !== ERRNO.EADDRNOTAVAIL || failed.programs > 0) return null;
  if (isWithoutIpv6(daddr, asked)) return NO_IPV6;
  if (asked?.tentative) return `no IPv6 address is usable yet (${DAD})`;
  return asked?.duplicate
    ? `another host has the IPv6 address too (${DAD} failed)`
    : `no address of this host fits ${daddr} as a source`;
}

function isWithoutIpv6(daddr: string, asked: ConnectAsked | null): boolean {
  return familyOf(daddr) === 6 && asked?.addresses === 0;
}

function programs({ program, second_program, third_program }: Event<'call_failed'>['body']) {
  return [program, second_program, third_program].flatMap((one) => one ?? []);
}

function programText(
  { id, program }: { id: number; program: string },
  asked: ConnectAsked | null,
): string {
  const at = asked?.hooked.find(({ program_id }) => program_id === id);
  const where = at ? `${at.hook} of ${at.cgroup_path}` : 'its cgroup';
  return programAt(program, id, where);
}

function holdersOf({ processes, pins }: Hooked): string[] {
  return [...processes.map(({ comm, pid }) => `${comm} (${pid})`), ...pins];
}
