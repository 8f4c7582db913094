// SPDX-License-Identifier: Apache-2.0

import type { DeviceHooks, Hooked, Qdisc } from '../wire/types.gen.ts';
import {
  type Attributes,
  attribute,
  attributes,
  listed,
  type Message,
  messages,
  number,
  request,
  text,
} from './netlink.ts';

/** What only the kernel can tell, in the namespace at a path. */
export interface DeviceHost {
  netlink(requests: Uint8Array[], netns: string): Buffer[];
  /** At the hooks that netlink does not tell of. */
  programs(ifindex: number, netns: string): { hook: string; id: number; name: string }[];
  programName(id: number): string;
  /** Who has these programs open or pinned, by their ids. */
  holders(
    ids: readonly number[],
  ): ReadonlyMap<number, Pick<Hooked, 'processes' | 'pins' | 'loaded_ktime_ns'>>;
}

const RTM_GETLINK = 18;
const RTM_GETQDISC = 38;
const RTM_GETTFILTER = 46;

/** struct ifinfomsg and struct tcmsg. */
const IFINFO = 16;
const TC = 20;

const IFLA_IFNAME = 3;
const IFLA_TXQLEN = 13;
const IFLA_XDP = 43;
const XDP_HOOKS: readonly [hook: string, attribute: number][] = [
  ['xdp', 5],
  ['xdp generic', 6],
  ['xdp offloaded', 7],
];

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS2 = 7;
const TCA_STATS_QUEUE = 3;
const DROPS = 8;

const TC_HOOKS: readonly [hook: string, parent: number][] = [
  ['tc ingress', 0xfffffff2],
  ['tc egress', 0xfffffff3],
];
const TC_H_ROOT = 0xffffffff;
const NO_QUEUES = new Set(['noqueue', 'clsact', 'ingress']);

const TCA_BPF_ID = 11;
/** Where filters of each kind have their actions. */
const ACTIONS: Readonly<Record<string, number>> = {
  basic: 3,
  bpf: 1,
  cgroup: 1,
  flow: 9,
  flower: 3,
  fw: 4,
  matchall: 2,
  route: 6,
  u32: 7,
};

/** Null where the device is gone. */
export function deviceHooks(
  host: DeviceHost,
  inode: number,
  device: string,
  netns: string,
): DeviceHooks | null {
  const [link] = ask(host, [request(RTM_GETLINK, named(device), false)], netns);
  if (!link?.[0]) return null;
  const { body } = link[0];
  const ifindex = body.readInt32LE(4);
  const told = attributes(body, IFINFO);
  const [qdiscs = [], ...filters] = ask(
    host,
    [
      request(RTM_GETQDISC, tcmsg(ifindex, 0)),
      ...TC_HOOKS.map(([, parent]) => request(RTM_GETTFILTER, tcmsg(ifindex, parent))),
    ],
    netns,
  );
  const hooked = [
    ...xdpPrograms(host, attributes(told.get(IFLA_XDP))),
    ...host
      .programs(ifindex, netns)
      .map(({ hook, id, name }) => ({ ...NOTHING_HOOKED, hook, program_id: id, program: name })),
    ...TC_HOOKS.flatMap(([hook], index) =>
      (filters[index] ?? []).flatMap((message) => filterOf(host, hook, message)),
    ),
  ];
  const held = host.holders(hooked.map(({ program_id }) => program_id).filter((id) => id > 0));
  return {
    netns: inode,
    device,
    state: stateOf(body.readUInt32LE(8)),
    hooked: hooked.map((one) => ({ ...one, ...held.get(one.program_id) })),
    qdiscs: qdiscs
      .filter((message) => message.body.readInt32LE(4) === ifindex)
      .flatMap((message) => qdiscOf(message, number(told.get(IFLA_TXQLEN)))),
  };
}

const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;

function stateOf(flags: number): string {
  if (!(flags & IFF_UP)) return 'down';
  return flags & IFF_LOWER_UP ? '' : 'no carrier';
}

/** For what a hook does not have. */
export const NOTHING_HOOKED: Hooked = {
  hook: '',
  kind: 'bpf',
  program_id: 0,
  program: '',
  priority: 0,
  actions: [],
  processes: [],
  pins: [],
  cgroup_path: '',
  loaded_ktime_ns: '0',
};

function ask(host: DeviceHost, requests: Buffer[], netns: string): Message[][] {
  return host.netlink(requests, netns).map(messages);
}

function named(device: string): Buffer {
  return Buffer.concat([Buffer.alloc(IFINFO), attribute(IFLA_IFNAME, Buffer.from(`${device}\0`))]);
}

function tcmsg(ifindex: number, parent: number): Buffer {
  const body = Buffer.alloc(TC);
  body.writeInt32LE(ifindex, 4);
  body.writeUInt32LE(parent, 12);
  return body;
}

function xdpPrograms(host: DeviceHost, xdp: Attributes): Hooked[] {
  return XDP_HOOKS.flatMap(([hook, attribute]) => {
    const program_id = number(xdp.get(attribute));
    if (program_id === 0) return [];
    return { ...NOTHING_HOOKED, hook, program_id, program: host.programName(program_id) };
  });
}

function filterOf(host: DeviceHost, hook: string, { body }: Message): Hooked[] {
  const told = attributes(body, TC);
  const kind = text(told.get(TCA_KIND));
  const options = attributes(told.get(TCA_OPTIONS));
  // Of each priority there is an entry without a filter too.
  if (options.size === 0) return [];
  const program_id = kind === 'bpf' ? number(options.get(TCA_BPF_ID)) : 0;
  const actions = listed(options.get(ACTIONS[kind] ?? 0));
  return [
    {
      ...NOTHING_HOOKED,
      hook,
      kind,
      program_id,
      program: program_id > 0 ? host.programName(program_id) : '',
      priority: body.readUInt32LE(16) >>> 16,
      actions: actions.map(([, action]) => actionText(attributes(action))),
    },
  ];
}

const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
/** struct tc_gact, with which other actions begin too: what becomes of the packet. */
const TCA_GACT_PARMS = 2;
const VERDICT = 8;
const VERDICTS: Readonly<Record<number, string>> = { 0: 'ok', 2: 'drop', 3: 'pipe' };

function actionText(action: Attributes): string {
  const kind = text(action.get(TCA_ACT_KIND));
  if (kind !== 'gact') return kind;
  const parms = attributes(action.get(TCA_ACT_OPTIONS)).get(TCA_GACT_PARMS);
  return VERDICTS[number(parms, VERDICT)] ?? kind;
}

function qdiscOf({ body }: Message, txqueuelen: number): Qdisc[] {
  const handle = body.readUInt32LE(8);
  const parent = body.readUInt32LE(12);
  const told = attributes(body, TC);
  const kind = text(told.get(TCA_KIND));
  if (NO_QUEUES.has(kind)) return [];
  const queue = attributes(told.get(TCA_STATS2)).get(TCA_STATS_QUEUE);
  return [
    {
      kind,
      handle: handleText(handle),
      parent: parent === TC_H_ROOT ? '' : handleText(parent),
      limits: limitsText(kind, told.get(TCA_OPTIONS), txqueuelen),
      has_dropped: Number(number(queue, DROPS) > 0),
    },
  ];
}

/** `1:`, `1:2`, as tc writes them. */
function handleText(handle: number): string {
  const minor = handle & 0xffff;
  return `${(handle >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
}

type Limits = (options: Buffer, told: Attributes) => (string | null)[];

const packets = (count: number) => (count === 0 ? null : `limit ${count} packets`);
const rate = (bits: number) => (bits < 1e6 ? `${bits / 1000} kbit/s` : `${bits / 1e6} Mbit/s`);
const bytes = (count: number) => (count === 0 ? null : `limit ${count} bytes`);
const numbered =
  (...ofAttributes: [number, (value: number) => string | null][]): Limits =>
  (_, told) =>
    ofAttributes.map(([attribute, say]) => say(number(told.get(attribute))));

/** What bounds the queue of each kind. Others have no bound of their own, or are not known. */
const LIMITS: Readonly<Record<string, Limits>> = {
  pfifo: (options) => [packets(number(options))],
  bfifo: (options) => [bytes(number(options))],
  sfq: (options) => [packets(number(options, 8))],
  fq: numbered([1, packets], [2, (count) => `${count} a flow`]),
  fq_codel: numbered([2, packets]),
  fq_pie: numbered([1, packets]),
  codel: numbered([2, packets]),
  pie: numbered([2, packets]),
  tbf(_, told) {
    const parms = told.get(1);
    const burst = number(told.get(6));
    return [
      `rate ${rate(number(parms, 8) * 8)}`,
      burst === 0 ? null : `burst ${burst} bytes`,
      bytes(number(parms, 24)),
    ];
  },
  red: (_, told) => [bytes(number(told.get(1)))],
  netem(options) {
    const loss = number(options, 8) / 0xffffffff;
    return [
      packets(number(options, 4)),
      loss === 0 ? null : `loss ${Number((loss * 100).toPrecision(3))} %`,
    ];
  },
};

function limitsText(kind: string, options: Buffer | undefined, txqueuelen: number): string {
  if (kind === 'pfifo_fast') return packets(txqueuelen) ?? '';
  const limits = options && LIMITS[kind]?.(options, attributes(options));
  return (limits ?? []).filter((limit) => limit !== null).join(', ');
}
