// SPDX-License-Identifier: Apache-2.0

import { must } from '../../native/sockets.ts';
import { accept, closeUnheard, dial, knock, localOf, say } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Netns } from '../netns.ts';
import type { Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS, MAC, plug } from '../wiring.ts';

const PORT = 7700;
const bridges = new WeakMap<Lab, Netns>();

/** A host that bridges the client's second cable, port `p0`, and another one, `p1`, behind which is nobody. */
function bridge(lab: Lab, { family }: Options, ports: readonly string[]): Netns {
  const netns = lab.netns('bridge');
  bridges.set(lab, netns);
  netns.ip('link add br0 type bridge', 'link set br0 up');
  netns.ip('link add p1 type veth peer name end', 'link set p1 up', 'link set end up');
  const c1 = { netns: lab.client, device: 'c1', mac: '02:00:00:00:00:46' };
  plug(c1, { netns, device: 'p0', mac: '02:00:00:00:00:47' });
  netns.ip(...ports.map((port) => `link set ${port} master br0`));
  const { nowhere } = HOSTS[family];
  lab.client.ip(
    `route add ${nowhere} dev c1`,
    `neigh add ${nowhere} lladdr ${MAC.server} dev c1 nud permanent`,
  );
  return netns;
}

const BRIDGED = ['p0', 'p1'];

function scenario(id: string, title: string, prepare: ScenarioEntry['prepare']): ScenarioEntry {
  return {
    ...{ id, title, prepare },
    // What no port sends on is a copy, which has no socket.
    ...(id !== 'bridge-drop' && { ownerless: true }),
    says: () => ({ interface: 'p0' }),
    run(lab, { times, family }) {
      const netns = bridges.get(lab) as Netns;
      const received = () => Number(netns.exec('cat', ['/sys/class/net/p0/statistics/rx_packets']));
      const before = received();
      const server = { address: HOSTS[family].nowhere, port: PORT };
      const clients = knock(lab, server, times);
      until('the SYNs to come to the bridge', () => received() - before >= times);
      return { server, clients, netns: netns.inode };
    },
  };
}

const FAR_MAC = '02:00:00:00:00:49';
const JUMBO = 9000;
/** More than one port takes, in one segment. */
const TEXT = 'x'.repeat(4000);
const SHOWN_TO_NETFILTER = ['iptables', 'ip6tables'].map(
  (tables) => `net.bridge.bridge-nf-call-${tables}`,
);
const hosts = new WeakMap<Lab, Netns>();

/** Behind the other port of the bridge, which takes less than the others, is a host. */
function narrowBridge(lab: Lab, options: Options): void {
  const { nowhere, client } = HOSTS[options.family];
  const netns = bridge(lab, options, ['p0']);
  const far = lab.netns('far');
  hosts.set(lab, far);
  netns.ip('link del p1');
  plug(
    { netns: far, device: 'f0', mac: FAR_MAC },
    { netns, device: 'p1', mac: '02:00:00:00:00:48' },
  );
  netns.ip(`link set p0 mtu ${JUMBO}`, 'link set p1 master br0');
  // Netfilter, where it sees what is bridged, takes IPv6 for routed.
  for (const name of SHOWN_TO_NETFILTER) if (netns.has(name)) netns.sysctl({ [name]: 0 });
  lab.client.ip(
    `link set c1 mtu ${JUMBO}`,
    `route replace ${nowhere} dev c1 src ${client}`,
    `neigh replace ${nowhere} lladdr ${FAR_MAC} dev c1 nud permanent`,
  );
  far.ip(
    `link set f0 mtu ${JUMBO}`,
    `addr add ${nowhere} dev f0${options.family === 6 ? ' nodad' : ''}`,
    `route add ${client} dev f0`,
    `neigh add ${client} lladdr 02:00:00:00:00:46 dev f0 nud permanent`,
  );
}

const narrowPort: ScenarioEntry = {
  id: 'mtu-black-hole/bridge',
  title: 'a bridge whose ports take segments of different length drops the longest',
  ownerless: true,
  says: () => ({ handed_on: 'by a bridge', device: 'p1' }),
  prepare: narrowBridge,
  run(lab, { times, family }) {
    const [netns, far] = [bridges.get(lab) as Netns, hosts.get(lab) as Netns];
    const received = () => Number(netns.exec('cat', ['/sys/class/net/p0/statistics/rx_packets']));
    const server = { address: HOSTS[family].nowhere, port: PORT };
    const listener = lab.socket(far, { family });
    must(listener.bind(server.address, server.port), 'bind');
    must(listener.listen(times), 'listen');
    const pairs = accept(listener, dial(lab, lab.client, server, times));
    listener.close();
    const senders = pairs.map(({ client }) => client);
    const clients = senders.map(localOf);
    const before = received();
    say(senders, TEXT);
    until('the segments to come to the bridge', () => received() - before >= times);
    // None is sent again.
    closeUnheard(senders);
    closeUnheard(pairs.map((pair) => pair.server));
    return { server, clients, netns: netns.inode };
  },
};

const bridgeDrop: ScenarioEntry[] = [
  scenario(
    'bridge-drop',
    'SYNs by a port that spanning tree does not forward from yet',
    (lab, options) => {
      const netns = bridge(lab, options, []);
      netns.ip('link set br0 type bridge stp_state 1', 'link set p0 master br0');
    },
  ),
  scenario(
    'bridge-drop/isolated',
    'SYNs for a port that is isolated from theirs',
    (lab, options) => {
      const netns = bridge(lab, options, BRIDGED);
      for (const port of BRIDGED)
        netns.exec('bridge', ['link', 'set', 'dev', port, 'isolated', 'on']);
      netns.exec('bridge', ['fdb', 'add', MAC.server, 'dev', 'p1', 'master', 'static']);
    },
  ),
  scenario(
    'bridge-drop/same-port',
    'SYNs for a MAC address behind the port that they came in by',
    (lab, options) => {
      const netns = bridge(lab, options, BRIDGED);
      netns.exec('bridge', ['fdb', 'add', MAC.server, 'dev', 'p0', 'master', 'static']);
    },
  ),
  scenario('bridge-drop/no-port', 'SYNs for a bridge that has no other port', (lab, options) => {
    bridge(lab, options, ['p0']);
  }),
];

export default [narrowPort, ...bridgeDrop] satisfies ScenarioEntry[];
