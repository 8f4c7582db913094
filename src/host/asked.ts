// SPDX-License-Identifier: Apache-2.0

import { familyOf } from '../tcp/address.ts';
import { ERRNO } from '../tcp/errno.ts';
import type { CallFailed, ConnectAsked, Drop, Hooked, NarrowDevice } from '../wire/types.gen.ts';
import { NOTHING_HOOKED } from './device-hooks.ts';
import { attributes, messages, number, request, text } from './netlink.ts';
import { portUsers } from './port-users.ts';
import { type Ask, addressesLike, isAny, isOwn, routeOf } from './routes.ts';
import { type ModuleHost, modulesFor } from './security-modules.ts';
import type { SocketHost } from './socket-hooks.ts';

export interface AskedHost extends SocketHost, ModuleHost {
  /** In the namespace at a path, with strict dumps and refusals. */
  netlinkStrict(requests: Uint8Array[], netns: string): Buffer[];
  /** Of sockets (NETLINK_SOCK_DIAG). */
  netlinkSockets(requests: Uint8Array[], netns: string): Buffer[];
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
    narrow: dials && familyOf(daddr) === 6 && NO_WAY.has(failed.err) ? narrowDevices(ask) : [],
  };
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
  const hooked = host.cgroups(failed.cgroup).flatMap(({ folder, path }) => {
    try {
      return host
        .cgroupPrograms(folder)
        .filter(({ hook, id }) => HOOKS[failed.call]?.has(hook) && ids.includes(id))
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
