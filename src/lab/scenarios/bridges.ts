// SPDX-License-Identifier: Apache-2.0

import { knock } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Netns } from '../netns.ts';
import { BOTH, type Options, type Scenario } from '../scenario.ts';
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

function scenario(id: string, title: string, prepare: Scenario['prepare']): Scenario {
  return {
    ...{ id, cause: 'bridge-drop', title, families: BOTH, prepare },
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

export const bridgeDrop: Scenario[] = [
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
