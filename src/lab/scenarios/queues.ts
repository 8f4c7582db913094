// SPDX-License-Identifier: Apache-2.0

import { closeSync, openSync, unlinkSync } from 'node:fs';
import { must } from '../../native/sockets.ts';
import { knock } from '../connections.ts';
import { run } from '../netns.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS, MAC, plug } from '../wiring.ts';

const PORT = 7800;
/** Of a virtual machine, say, whose program does not read. */
const GUEST_MAC = '02:00:00:00:00:77';
/** An EtherType for experiments: IP has no part in it. */
const OTHER_FRAME = Buffer.from(`${GUEST_MAC}${MAC.client}88b5`.replaceAll(':', ''), 'hex');
const SYS = '/sys/class/net/tap0';

const deviceQueueFull: ScenarioEntry = {
  id: 'device-queue-full',
  title: 'SYNs for a tap device whose program does not read',
  drop_reason: 'FULL_RING',
  says: () => ({ interface: 'tap0' }),
  prepare(lab, { family }) {
    const { nowhere } = HOSTS[family];
    const c1 = { netns: lab.client, device: 'c1', mac: '02:00:00:00:00:46' };
    plug(c1, { netns: lab.server, device: 's1', mac: '02:00:00:00:00:12' });
    lab.server.ip(
      `link add tap0 link s1 address ${GUEST_MAC} type macvtap mode bridge`,
      'link set tap0 txqueuelen 1 up',
    );
    lab.client.ip(
      `route add ${nowhere} dev c1`,
      `neigh add ${nowhere} lladdr ${GUEST_MAC} dev c1 nud permanent`,
    );
    const numbers = lab.server.exec('sh', ['-c', `cat ${SYS}/macvtap/tap*/dev`]).trim();
    const node = `/dev/tcpwhy-${process.pid}-tap`;
    run('mknod', [node, 'c', ...numbers.split(':')]);
    try {
      const program = openSync(node, 'r');
      lab.defer(() => closeSync(program));
    } finally {
      unlinkSync(node);
    }
  },
  run(lab, { times, family }) {
    // Its queue has room for one.
    using mouth = lab.socket(lab.client, { type: 'packet' });
    must(mouth.sendPacket('c1', Buffer.concat([OTHER_FRAME, Buffer.alloc(46)])), 'sendPacket');
    const server = { address: HOSTS[family].nowhere, port: PORT };
    return { server, clients: knock(lab, server, times), netns: lab.server.inode };
  },
};

export default [deviceQueueFull] satisfies ScenarioEntry[];
