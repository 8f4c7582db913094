// SPDX-License-Identifier: Apache-2.0

import { familyOf, isAny } from '../tcp/address.ts';
import { ERRNO } from '../tcp/errno.ts';
import type {
  CallFailed,
  ConnectAsked,
  Drop,
  Hooked,
  NarrowDevice,
  Sock,
  SynReceived,
} from '../wire/types.gen.ts';
import { NOTHING_HOOKED } from './device-hooks.ts';
import { attributes, messages, number, request, text } from './netlink.ts';
import { portUsers } from './port-users.ts';
import { type Ask, addressesLike, isOwn, refuserOf, routeOf, wayBack } from './routes.ts';
import { type ModuleHost, modulesFor } from './security-modules.ts';
import type { SocketHost } from './socket-hooks.ts';

export interface AskedHost extends SocketHost, ModuleHost {
  /** In the namespace at a path, with strict dumps and refusals. */
  netlinkStrict(requests: Uint8Array[], netns: string): Buffer[];
  /** Of sockets (NETLINK_SOCK_DIAG). */
  netlinkSockets(requests: Uint8Array[], netns: string): Buffer[];
  /** Files of /proc as they are in the namespace at a path; null: there is no such. */
  files(names: string[], netns: string): (string | null)[];
}

const RTM_GETLINK = 18;
const RTM_NEWLINK = 16;
const IFINFO = 16;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
/** IPV6_MIN_MTU: a device with less has no IPv6. */
const IPV6_MTU = 1280;
const MOST_NARROW = 4;
const CONNECT = 0;
const HOOKS: ReadonlySet<string>[] = [
  new Set(['cgroup connect4', 'cgroup connect6']),
  new Set(['cgroup bind4', 'cgroup bind6']),
];

/** What the host makes of a call that failed, in the namespace at a path. */
export function askedOf(
  host: AskedHost,
  failed: CallFailed,
  netns: string,
): Omit<ConnectAsked, 'key'> {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const { call, sock, scope, mark, uid } = failed;
  const { saddr, sport, daddr, dport } = sock.flow;
  const bound = deviceOf(ask, sock.bound_ifindex);
  const dials = call === CONNECT;
  const look = () => addressesLike(ask, dials ? daddr : saddr);
  const isMissing = (there: Addresses) => !isAny(saddr) && !isOwn(ask, saddr, there);
  const addresses = look();
  const was_missing = isMissing(addresses);
  // A bind takes this one address, a connect any that fits.
  const fit = dials ? addresses : addressesLike(ask, saddr, saddr);
  const route = dials
    ? routeOf(ask, {
        ...{ saddr, sport, daddr, dport, mark, uid },
        ifindex: sock.bound_ifindex || scope,
        device: bound.device,
      })
    : null;
  return {
    route_errno: route?.errno ?? 0,
    route_type: route?.type ?? '',
    prefix: route?.prefix ?? '',
    table: route?.table ?? 0,
    rule: route?.rule ?? '',
    // It may have gone between the two: then there is no route because of that.
    source_missing: Number(
      was_missing || (route !== null && route.errno !== 0 && isMissing(look())),
    ),
    addresses: addresses.all.length,
    global_addresses: addresses.global,
    tentative: fit.tentative,
    duplicate: fit.duplicate,
    ...bound,
    hooked: programsOf(host, failed),
    modules: modulesFor(host, sock.owner.pid),
    port_users:
      !dials && failed.err === ERRNO.EADDRINUSE && sport !== 0
        ? portUsers((requests) => host.netlinkSockets(requests, netns), failed)
        : [],
    reserved_ports:
      !dials && failed.err === ERRNO.EADDRINUSE && sport === 0 ? reservedPorts(host, netns) : '',
    ipsec_blocked: Number(dials && failed.err === ERRNO.EPERM && hasIpsecBlocked(host, netns)),
    narrow: dials && familyOf(daddr) === 6 && NO_WAY.has(failed.err) ? narrowDevices(ask) : [],
  };
}

/** Programs that may have put another address in place of what a process of a cgroup dialled; null: there is none. */
export function dialledByOf(
  host: AskedHost,
  { owner, flow }: Pick<Sock, 'owner' | 'flow'>,
): Omit<ConnectAsked, 'key'> | null {
  const hook = `cgroup connect${familyOf(flow.daddr)}`;
  const hooked = attached(host, owner.cgroup, (one) => one.hook === hook);
  return hooked.length === 0 ? null : { ...NOT_ASKED, hooked };
}

/** Why a connect was given no port, in the namespace at a path. */
export function portsAskedOf(host: AskedHost, netns: string): Omit<ConnectAsked, 'key'> {
  return { ...NOT_ASKED, reserved_ports: reservedPorts(host, netns) };
}

/** Longer lists are of nobody who runs out of ports by them alone. */
const LONGEST_LIST = 1000;

function reservedPorts(host: AskedHost, netns: string): string {
  const [text] = host.files(['sys/net/ipv4/ip_local_reserved_ports'], netns);
  const list = text?.trim() ?? '';
  return list.length > LONGEST_LIST ? '' : list;
}

function hasIpsecBlocked(host: AskedHost, netns: string): boolean {
  const [stat] = host.files(['thread-self/net/xfrm_stat'], netns);
  return /^XfrmOutPolBlock\s+0*[1-9]/m.test(stat ?? '');
}

/** The route of a segment as it is, in the namespace at a path, for the socket that dialled it. */
export function routeAskedOf(
  host: AskedHost,
  { packet, dialled }: Drop,
  netns: string,
): Omit<ConnectAsked, 'key'> {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const { saddr, sport, daddr, dport } = packet.flow;
  const bound = deviceOf(ask, dialled?.bound_ifindex ?? 0);
  const wanted = { saddr, sport, daddr, dport, mark: 0, uid: 0 };
  const ifindex = dialled?.bound_ifindex ?? 0;
  const route = routeOf(ask, { ...wanted, ifindex, device: bound.device });
  return {
    ...NOT_ASKED,
    route_errno: route.errno,
    route_type: route.type,
    prefix: route.prefix,
    table: route.table,
    rule: route.rule,
    ...bound,
  };
}

/** Which route or rule refuses what comes in, and is for others; null: not known. */
export function passingAskedOf(
  host: AskedHost,
  { packet, route_errno }: Drop,
  netns: string,
): Omit<ConnectAsked, 'key'> | null {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const { saddr, sport, daddr, dport } = packet.flow;
  const ends = { saddr, sport, daddr, dport, ...SENDER };
  return refusedBy(refuserOf(ask, { ...ends, came_by: packet.device }, route_errno));
}

/** Which route or rule refuses the answer to a SYN; null: none does, or it is not known. */
export function answerAskedOf(
  host: AskedHost,
  { packet }: SynReceived,
  netns: string,
): Omit<ConnectAsked, 'key'> | null {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const { saddr, sport, daddr, dport } = packet.flow;
  const ends = { saddr: daddr, sport: dport, daddr: saddr, dport: sport, ...SENDER };
  const { errno } = routeOf(ask, ends);
  // From an address of many hosts there is no way to anywhere: what is sent to one is refused before.
  if (errno <= 0 || addressAskedOf(host, daddr, netns, 0).source_missing > 0) return null;
  return refusedBy(refuserOf(ask, ends, errno)) ?? { ...NOT_ASKED, route_errno: errno };
}

const SENDER = { mark: 0, uid: 0, ifindex: 0, device: '' };

function refusedBy(route: ReturnType<typeof refuserOf>): Omit<ConnectAsked, 'key'> | null {
  if (!route) return null;
  const { errno, type, prefix, table, rule } = route;
  return { ...NOT_ASKED, route_errno: errno, route_type: type, prefix, table, rule };
}

/** By which device the namespace at a path would answer what its reverse path filter refused. */
export function wayBackAskedOf(
  host: AskedHost,
  { packet }: Drop,
  netns: string,
): Omit<ConnectAsked, 'key'> | null {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const way = wayBack(ask, packet.flow.daddr, packet.flow.saddr);
  return (
    way && {
      ...NOT_ASKED,
      ...{ route_errno: way.errno, route_type: way.type },
      ...deviceOf(ask, way.ifindex),
    }
  );
}

/**
 * Whether a device of the namespace at a path has the address, and it may be used. Where the one that a segment
 * came in by (0: none did) is gone, so are its addresses: nothing is known of them.
 */
export function addressAskedOf(
  host: AskedHost,
  address: string,
  netns: string,
  ifindex: number,
): Omit<ConnectAsked, 'key'> {
  const ask: Ask = (requests) => host.netlinkStrict(requests, netns);
  const { all, tentative, duplicate } = addressesLike(ask, address, address);
  // Of the networks of loopback it has every address.
  const isHere = all.length > 0 || (address.startsWith('127.') && isOwn(ask, address, NONE));
  const wasHere = isHere || deviceOf(ask, ifindex).state === 'gone';
  return { ...NOT_ASKED, source_missing: Number(!wasHere), tentative, duplicate };
}

type Addresses = ReturnType<typeof addressesLike>;

const NONE = { all: [], global: 0, tentative: 0, duplicate: 0 };
const NOT_ASKED: Omit<ConnectAsked, 'key'> = {
  ...{ route_errno: 0, route_type: '', prefix: '', table: 0, rule: '' },
  ...{ source_missing: 0, addresses: 0, global_addresses: 0, tentative: 0, duplicate: 0 },
  ...{ device: '', state: '', hooked: [], modules: [], port_users: [], narrow: [] },
  ...{ reserved_ports: '', ipsec_blocked: 0 },
};

function deviceOf(ask: Ask, ifindex: number): Pick<ConnectAsked, 'device' | 'state'> {
  if (ifindex === 0) return { device: '', state: '' };
  const header = Buffer.alloc(IFINFO);
  header.writeInt32LE(ifindex, 4);
  const [answer] = ask([request(RTM_GETLINK, header, false)]);
  const link = (answer ? messages(answer) : []).find(({ type }) => type === RTM_NEWLINK);
  if (!link) return { device: '', state: 'gone' };
  const device = text(attributes(link.body, IFINFO).get(IFLA_IFNAME));
  return { device, state: link.body.readUInt32LE(8) & IFF_UP ? '' : 'down' };
}

/** Errnos of a connect that has no route, or no address to come from. */
const NO_WAY: ReadonlySet<number> = new Set([ERRNO.ENETUNREACH, ERRNO.EADDRNOTAVAIL]);

function narrowDevices(ask: Ask): NarrowDevice[] {
  const [answer] = ask([request(RTM_GETLINK, Buffer.alloc(IFINFO))]);
  return (answer ? messages(answer) : [])
    .filter(({ type }) => type === RTM_NEWLINK)
    .flatMap(({ body }) => {
      const told = attributes(body, IFINFO);
      const mtu = number(told.get(IFLA_MTU));
      const isUp = (body.readUInt32LE(8) & (IFF_UP | IFF_LOOPBACK)) === IFF_UP;
      return isUp && mtu < IPV6_MTU ? [{ device: text(told.get(IFLA_IFNAME)), mtu }] : [];
    })
    .slice(0, MOST_NARROW);
}

/** Those that were in effect for the socket, and where they are attached. */
function programsOf(host: AskedHost, failed: CallFailed): Hooked[] {
  const { program, second_program, third_program } = failed;
  const ids = [program, second_program, third_program].flatMap((one) => (one ? [one.id] : []));
  if (ids.length === 0) return [];
  return attached(
    host,
    failed.cgroup,
    ({ hook, id }) => (HOOKS[failed.call]?.has(hook) ?? false) && ids.includes(id),
  );
}

/** Programs of a cgroup and of those that it is in, and who holds them. */
function attached(
  host: AskedHost,
  cgroup: string,
  isWanted: (program: { hook: string; id: number }) => boolean,
): Hooked[] {
  const hooked = host.cgroups(cgroup).flatMap(({ folder, path }) => {
    try {
      return host
        .cgroupPrograms(folder)
        .filter(isWanted)
        .map(({ hook, id, name }) => ({
          ...NOTHING_HOOKED,
          ...{ hook, program_id: id, program: name, cgroup_path: path },
        }));
    } catch {
      // The cgroup is gone.
      return [];
    }
  });
  const held = host.holders(hooked.map(({ program_id }) => program_id));
  return hooked.map((one) => ({ ...one, ...held.get(one.program_id) }));
}
