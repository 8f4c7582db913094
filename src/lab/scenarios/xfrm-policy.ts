// SPDX-License-Identifier: Apache-2.0

import { knock, listen } from '../connections.ts';
import type { ScenarioEntry } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 7500;

export default [
  {
    id: 'xfrm-policy',
    title: 'SYNs that an IPsec policy of the server blocks',
    needs: 'xfrm',
    drop_reason: 'XFRM_POLICY',
    prepare(lab, { family }) {
      const { client, server } = HOSTS[family];
      const selector = ['src', client, 'dst', server, 'proto', 'tcp', 'dport', String(PORT)];
      lab.server.exec('ip', ['xfrm', 'policy', 'add', ...selector, 'dir', 'in', 'action', 'block']);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      using _listener = listen(lab, family, PORT, times);
      const clients = knock(lab, server, times);
      return { server, clients, netns: lab.server.inode };
    },
  },
  {
    id: 'xfrm-policy/no-association',
    title: 'SYNs that an IPsec policy of their own host wants protected, and nothing can',
    needs: 'xfrm',
    says: () => ({ no_association: true }),
    prepare(lab, { family }) {
      const { client, server } = HOSTS[family];
      const selector = ['src', client, 'dst', server, 'proto', 'tcp', 'dport', String(PORT)];
      const wanted = ['tmpl', 'src', client, 'dst', server, 'proto', 'esp', 'mode', 'transport'];
      lab.client.exec('ip', ['xfrm', 'policy', 'add', ...selector, 'dir', 'out', ...wanted]);
    },
    run(lab, { times, family }) {
      const server = { address: HOSTS[family].server, port: PORT };
      return { server, clients: knock(lab, server, times), netns: lab.client.inode };
    },
  },
] satisfies ScenarioEntry[];
