// SPDX-License-Identifier: Apache-2.0

import type { Lab } from '../../src/lab/lab.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { HOSTS, plug } from '../../src/lab/wiring.ts';

const ROUTER = '192.168.26.1';
const HOST = '192.168.26.2';

/**
 * A network namespace behind the lab's client, which shows the server its own IPv4 address in place
 * of the one there.
 */
export function behindNat(lab: Lab): Netns {
  const inside = lab.netns(`behind-${lab.client.inode}`);
  plug(
    { netns: inside, device: 'i0', mac: '02:00:00:00:26:02' },
    { netns: lab.client, device: 'c1', mac: '02:00:00:00:26:01' },
  );
  inside.ip(`addr add ${HOST}/24 dev i0`, `route add default via ${ROUTER}`);
  lab.client.ip(`addr add ${ROUTER}/24 dev c1`);
  lab.client.sysctl({ 'net.ipv4.ip_forward': 1 });
  lab.client.exec(
    'nft',
    ['-f', '-'],
    `
    table ip lab {
      chain source {
        type nat hook postrouting priority srcnat;
        oifname c0 snat to ${HOSTS[4].client};
      }
    }`,
  );
  return inside;
}
