// SPDX-License-Identifier: Apache-2.0

import { addressBytes, addressText, familyOf, IPV4_AT, isAny } from '../tcp/address.ts';
import {
  type Attributes,
  attribute,
  attributes,
  messages,
  number,
  request,
  text,
} from './netlink.ts';

/** Of whom the kernel is asked: rtnetlink in one namespace, with strict dumps. */
export type Ask = (requests: Buffer[]) => Buffer[];

/** A connect as routing sees it. */
export interface Wanted {
  saddr: string;
  sport: number;
  daddr: string;
  dport: number;
  mark: number;
  uid: number;
  /** The device that it has to leave by; 0: whichever. */
  ifindex: number;
  /** Its name, where rules ask for it. */
  device: string;
  /** The device that it came in by; absent: it is sent from here. */
  came_by?: string;
}

/** What the kernel makes of a connect. */
export interface Route {
  /** errno; 0: it has a route. */
  errno: number;
  /** `unicast`; of what refuses `prohibit`. Empty: no route at all, or none was found that refuses. */
  type: string;
  prefix: string;
  table: number;
  rule: string;
}

export interface Addresses {
  all: string[];
  global: number;
  tentative: number;
  duplicate: number;
}

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTM_NEWRULE = 32;
const RTM_GETRULE = 34;
const NLMSG_ERROR = 2;

const RTMSG = 12;
const [RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC] = [1, 2, 4, 5, 7];
const [RTA_TABLE, RTA_MARK, RTA_UID] = [15, 16, 25];
const [RTA_IP_PROTO, RTA_SPORT, RTA_DPORT] = [27, 28, 29];

const TYPES: readonly string[] = [
  '',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
];
const [LOCAL, BLACKHOLE, UNREACHABLE, PROHIBIT] = [2, 6, 7, 8];
const [EACCES, EINVAL, ENETUNREACH, EHOSTUNREACH] = [13, 22, 101, 113];
/** Types of routes and of rules by the errno that they give: fib_props of fib_semantics.c, fib4_rule_action(). */
const ROUTES: Readonly<Record<number, number>> = {
  [EINVAL]: BLACKHOLE,
  [EACCES]: PROHIBIT,
  [EHOSTUNREACH]: UNREACHABLE,
};
const RULES: Readonly<Record<number, number>> = {
  [EINVAL]: BLACKHOLE,
  [EACCES]: PROHIBIT,
  [ENETUNREACH]: UNREACHABLE,
};

/** struct fib_rule_hdr, which has the same values of `action` as routes have types, and these. */
const RULE = 12;
const [FR_ACT_TO_TBL, FR_ACT_GOTO] = [1, 2];
const FIB_RULE_INVERT = 2;
const [FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY] = [1, 2, 3, 4, 6];
const [FRA_FWMARK, FRA_TUN_ID, FRA_TABLE, FRA_FWMASK, FRA_OIFNAME] = [10, 12, 15, 16, 17];
const [FRA_L3MDEV, FRA_UID_RANGE, FRA_IP_PROTO] = [19, 20, 22];
const [FRA_SPORT_RANGE, FRA_DPORT_RANGE] = [23, 24];
const BY_PORT = [FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE];

const IPPROTO_TCP = 6;
const AF_INET = 2;
const AF_INET6 = 10;

/** What the kernel would do with the same connect now, and where it refuses which route or rule does. */
export function routeOf(ask: Ask, wanted: Wanted): Route {
  const rules = rulesOf(ask, wanted.daddr);
  // IPv4 builds a packet to ask with, and drops it: of TCP only where that matters.
  const byPort = rules.some(({ told }) => BY_PORT.some((attribute) => told.has(attribute)));
  let asked = wanted;
  let found = lookUp(ask, wanted, byPort);
  // The kernel asks again with the source address that it has chosen, and rules may go by that.
  if (found.errno === 0 && found.source !== null && isAny(wanted.saddr)) {
    asked = { ...wanted, saddr: found.source };
    found = lookUp(ask, asked, byPort);
  }
  const { errno, type } = found;
  const refused = errno > 0 && refuser(ask, asked, rules, errno);
  return { errno, type, prefix: '', table: 0, rule: '', ...refused };
}

/** Which route or rule has refused a segment with an errno; null: not known, where rules go by marks. */
export function refuserOf(ask: Ask, wanted: Wanted, errno: number): Route | null {
  const rules = rulesOf(ask, wanted.daddr);
  if (rules.some(({ told }) => told.has(FRA_FWMARK))) return null;
  const found = refuser(ask, wanted, rules, errno);
  return { errno, type: '', prefix: '', table: 0, rule: '', ...found };
}

/** What the kernel answers that is asked for a route. */
export interface Way {
  errno: number;
  /** Of TYPES; empty: none. */
  type: string;
  /** The address that it would send from. */
  source: string | null;
  ifindex: number;
  /** Null: the address itself is the next hop. */
  gateway: string | null;
}

const NO_WAY = { errno: 0, type: '', source: null, ifindex: 0, gateway: null };

interface Rule {
  body: Buffer;
  told: Attributes;
}

function rulesOf(ask: Ask, address: string): Rule[] {
  const [answer] = ask([request(RTM_GETRULE, dumpOf(address))]);
  return (answer ? messages(answer) : [])
    .filter(({ type }) => type === RTM_NEWRULE)
    .map(({ body }) => ({ body, told: attributes(body, RULE) }));
}

/** struct rtmsg, or struct fib_rule_hdr, which begins alike. */
function dumpOf(address: string, type = 0): Buffer {
  return Buffer.from([familyNumber(address), 0, 0, 0, 0, 0, 0, type, 0, 0, 0, 0]);
}

/** Whether the namespace takes an address for its own. */
export function isOwn(ask: Ask, address: string, { all }: Addresses): boolean {
  if (familyOf(address) === 6) return all.includes(address);
  return wayTo(ask, address).type === TYPES[LOCAL];
}

/** How the namespace sends to an address, whatever else routing may go by. */
export function wayTo(ask: Ask, address: string): Way {
  const ordinary = { sport: 0, dport: 0, mark: 0, uid: 0, ifindex: 0, device: '' };
  const saddr = familyOf(address) === 4 ? '0.0.0.0' : '::';
  return lookUp(ask, { ...ordinary, saddr, daddr: address }, false);
}

/** Rules that go by these are not followed back: what comes in tells nothing of them. */
const NOT_OF_ADDRESSES = [
  FRA_FWMARK,
  FRA_TUN_ID,
  FRA_OIFNAME,
  FRA_L3MDEV,
  FRA_UID_RANGE,
  ...BY_PORT,
];

/** How the namespace sends back what came to an address, as the reverse path filter looks it up; null: not known. */
export function wayBack(ask: Ask, to: string, from: string): Way | null {
  const rules = rulesOf(ask, from);
  const isHere = isOwn(ask, to, NO_ADDRESSES);
  // Of what is passed on nobody but the filter may ask with its source.
  const isUnknown = ({ body, told }: Rule) =>
    NOT_OF_ADDRESSES.some((one) => (one !== FRA_L3MDEV ? told.has(one) : told.get(one)?.[0])) ||
    (!isHere && (told.has(FRA_IIFNAME) || (body[2] ?? 0) > 0));
  if (rules.some(isUnknown)) return null;
  const ordinary = { sport: 0, dport: 0, mark: 0, uid: 0, ifindex: 0, device: '' };
  return lookUp(ask, { ...ordinary, saddr: isHere ? to : '0.0.0.0', daddr: from }, false);
}

const NO_ADDRESSES = { all: [], global: 0, tentative: 0, duplicate: 0 };

function lookUp(
  ask: Ask,
  { saddr, sport, daddr, dport, mark, uid, ifindex }: Wanted,
  byPort: boolean,
): Way {
  const to = bytesOf(daddr);
  const parts = [
    attribute(RTA_DST, to),
    ...(isAny(saddr) ? [] : [attribute(RTA_SRC, bytesOf(saddr))]),
    ...(ifindex === 0 ? [] : [attribute(RTA_OIF, word(ifindex))]),
    ...(mark === 0 ? [] : [attribute(RTA_MARK, word(mark))]),
    attribute(RTA_UID, word(uid)),
    ...(byPort ? portParts(sport, dport) : []),
  ];
  const header = Buffer.alloc(RTMSG);
  header[0] = familyNumber(daddr);
  header[1] = to.length * 8;
  header[2] = isAny(saddr) ? 0 : to.length * 8;
  const [answer] = ask([request(RTM_GETROUTE, Buffer.concat([header, ...parts]), false)]);
  const [message] = answer ? messages(answer) : [];
  if (message?.type === NLMSG_ERROR) return { ...NO_WAY, errno: -message.body.readInt32LE(0) };
  if (message?.type !== RTM_NEWROUTE) return NO_WAY;
  const told = attributes(message.body, RTMSG);
  const [source, gateway] = [told.get(RTA_PREFSRC), told.get(RTA_GATEWAY)];
  return {
    errno: 0,
    type: TYPES[message.body[7] ?? 0] ?? '',
    source: source ? textOf(source) : null,
    ifindex: number(told.get(RTA_OIF)),
    gateway: gateway ? textOf(gateway) : null,
  };
}

function portParts(sport: number, dport: number): Buffer[] {
  return [
    attribute(RTA_IP_PROTO, Buffer.from([IPPROTO_TCP])),
    ...(sport === 0 ? [] : [attribute(RTA_SPORT, bigEndian(sport))]),
    ...(dport === 0 ? [] : [attribute(RTA_DPORT, bigEndian(dport))]),
  ];
}

/** The first that refuses in the order in which the kernel asks; of the routes of one table the longest. */
function refuser(ask: Ask, wanted: Wanted, rules: Rule[], errno: number): Partial<Route> {
  const type = ROUTES[errno];
  const [routes] =
    type === undefined
      ? []
      : ask([request(RTM_GETROUTE, dumpOf(wanted.daddr, type))]).map(messages);
  const refusing = (routes ?? [])
    .filter((message) => message.type === RTM_NEWROUTE && message.body[7] === type)
    .map(({ body }) => {
      const told = attributes(body, RTMSG);
      return {
        prefix: { address: told.get(RTA_DST), bits: body[1] ?? 0 },
        table: number(told.get(RTA_TABLE)) || (body[4] ?? 0),
      };
    })
    .filter(({ prefix }) => isWithin(wanted.daddr, prefix))
    .sort((one, other) => other.prefix.bits - one.prefix.bits);
  let skip_to = 0;
  for (const rule of rules) {
    const { body, told } = rule;
    if (number(told.get(FRA_PRIORITY)) < skip_to || !applies(rule, wanted)) continue;
    const action = body[7];
    if (action === FR_ACT_GOTO) skip_to = number(told.get(FRA_GOTO));
    if (action !== undefined && action === RULES[errno])
      return { type: TYPES[action] ?? '', rule: ruleText(rule) };
    if (action !== FR_ACT_TO_TBL) continue;
    const table = number(told.get(FRA_TABLE)) || body[4];
    const route = refusing.find((one) => one.table === table);
    if (route && type !== undefined) {
      const prefix = prefixText(route.prefix) ?? 'default';
      return { type: TYPES[type] ?? '', prefix, table: route.table };
    }
  }
  return {};
}

/** fib_rule_match() and what IPv4 and IPv6 add to it, of what is sent from here. */
function applies({ body, told }: Rule, wanted: Wanted): boolean {
  const { saddr, sport, daddr, dport, mark, uid, device, came_by = 'lo' } = wanted;
  const [, dst_len = 0, src_len = 0, tos = 0] = body;
  const within = (range: Buffer | undefined, value: number) =>
    !range || (range.readUInt16LE(0) <= value && value <= range.readUInt16LE(2));
  const users = told.get(FRA_UID_RANGE);
  const protocol = told.get(FRA_IP_PROTO);
  const mask = told.has(FRA_FWMASK) ? number(told.get(FRA_FWMASK)) : 0xffffffff;
  const matches =
    (!told.has(FRA_IIFNAME) || text(told.get(FRA_IIFNAME)) === came_by) &&
    (!told.has(FRA_OIFNAME) || text(told.get(FRA_OIFNAME)) === device) &&
    (!told.has(FRA_FWMARK) || ((mark ^ number(told.get(FRA_FWMARK))) & mask) === 0) &&
    !told.has(FRA_TUN_ID) &&
    !told.get(FRA_L3MDEV)?.[0] &&
    (!users || (users.readUInt32LE(0) <= uid && uid <= users.readUInt32LE(4))) &&
    (!protocol || protocol[0] === IPPROTO_TCP) &&
    within(told.get(FRA_SPORT_RANGE), sport) &&
    within(told.get(FRA_DPORT_RANGE), dport) &&
    tos === 0 &&
    isWithin(daddr, { address: told.get(FRA_DST), bits: dst_len }) &&
    isWithin(saddr, { address: told.get(FRA_SRC), bits: src_len });
  return matches !== ((number(body, 8) & FIB_RULE_INVERT) !== 0);
}

interface Prefix {
  address: Buffer | undefined;
  bits: number;
}

function isWithin(address: string, { address: prefix, bits }: Prefix): boolean {
  if (bits === 0) return true;
  const bytes = bytesOf(address);
  if (!prefix || prefix.length !== bytes.length) return false;
  const whole = bits >> 3;
  const mask = 0xff00 >> (bits & 7);
  return (
    prefix.subarray(0, whole).equals(bytes.subarray(0, whole)) &&
    (((prefix[whole] ?? 0) ^ (bytes[whole] ?? 0)) & mask & 0xff) === 0
  );
}

/** As `ip rule` writes it; names of devices are left out. */
function ruleText({ body, told }: Rule): string {
  const [, dst_len = 0, src_len = 0] = body;
  const to = prefixText({ address: told.get(FRA_DST), bits: dst_len });
  const mark = number(told.get(FRA_FWMARK));
  const users = told.get(FRA_UID_RANGE);
  const port = told.get(FRA_DPORT_RANGE)?.readUInt16LE(0);
  return [
    `${number(told.get(FRA_PRIORITY))}:`,
    `${number(body, 8) & FIB_RULE_INVERT ? 'not ' : ''}from`,
    prefixText({ address: told.get(FRA_SRC), bits: src_len }) ?? 'all',
    to && `to ${to}`,
    mark !== 0 && `fwmark 0x${mark.toString(16)}`,
    users && `uidrange ${users.readUInt32LE(0)}-${users.readUInt32LE(4)}`,
    port && `dport ${port}`,
    TYPES[body[7] ?? 0],
  ]
    .filter((part) => part)
    .join(' ');
}

function prefixText({ address, bits }: Prefix): string | null {
  if (bits === 0 || !address) return null;
  return bits === address.length * 8 ? textOf(address) : `${textOf(address)}/${bits}`;
}

const IFADDRMSG = 8;
const [IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS] = [1, 2, 8];
const [IFA_F_DADFAILED, IFA_F_TENTATIVE, IFA_F_OPTIMISTIC] = [0x08, 0x40, 0x04];
const RT_SCOPE_UNIVERSE = 0;

/** What the namespace has of the family of an address; `only`: of those that are this one. */
export function addressesLike(ask: Ask, address: string, only: string | null = null): Addresses {
  const family = familyNumber(address);
  const [answer] = ask([addressesRequest(family)]);
  const found = addressesIn(answer, family).filter((one) => only === null || one.address === only);
  const is = (flag: number) => found.filter(({ flags }) => flags & flag);
  return {
    all: found.map(({ address }) => address),
    global: found.filter(({ scope }) => scope === RT_SCOPE_UNIVERSE).length,
    tentative: is(IFA_F_TENTATIVE).filter(
      ({ flags }) => !(flags & (IFA_F_DADFAILED | IFA_F_OPTIMISTIC)),
    ).length,
    duplicate: is(IFA_F_DADFAILED).length,
  };
}

/** Of both families, those of IPv4 first. */
export function addressesOfBoth(ask: Ask): string[] {
  const answers = ask([AF_INET, AF_INET6].map(addressesRequest));
  return [AF_INET, AF_INET6].flatMap((family, i) =>
    addressesIn(answers[i], family).map(({ address }) => address),
  );
}

function addressesRequest(family: number): Buffer {
  const header = Buffer.alloc(IFADDRMSG);
  header[0] = family;
  return request(RTM_GETADDR, header);
}

function addressesIn(answer: Buffer | undefined, family: number) {
  return (answer ? messages(answer) : [])
    .filter(({ type, body }) => type === RTM_NEWADDR && body[0] === family)
    .flatMap(({ body }) => {
      const told = attributes(body, IFADDRMSG);
      const own = told.get(IFA_LOCAL) ?? told.get(IFA_ADDRESS);
      const flags = told.has(IFA_FLAGS) ? number(told.get(IFA_FLAGS)) : (body[2] ?? 0);
      return own ? [{ address: textOf(own), flags, scope: body[3] }] : [];
    });
}

const familyNumber = (address: string) => (familyOf(address) === 4 ? AF_INET : AF_INET6);

function bytesOf(address: string): Buffer {
  const bytes = Buffer.from(addressBytes(address));
  return familyOf(address) === 4 ? bytes.subarray(IPV4_AT) : bytes;
}

/** Of 4 or 16 bytes. */
function textOf(bytes: Buffer): string {
  return bytes.length === 4 ? bytes.join('.') : addressText(bytes);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
