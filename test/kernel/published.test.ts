// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { awaitReset, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { forward } from '../../src/lab/nat.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { Running } from './tcpwhy.ts';

const CONTAINER = '192.0.2.2';

/** A namespace behind the server, which has nobody on port 80. */
function containerOf(lab: Lab): Netns {
  const container = lab.netns('container');
  lab.server.ip(`link add b0 type bridge`);
  lab.server.ip(`link add v0 type veth peer name e0 netns ${container.name}`);
  lab.server.ip('link set v0 master b0 up');
  lab.server.ip('link set b0 up');
  lab.server.ip('address add 192.0.2.1/24 dev b0');
  container.ip('link set e0 up');
  container.ip(`address add ${CONTAINER}/24 dev e0`);
  container.ip('route add default via 192.0.2.1');
  forward(lab.server);
  return container;
}

/** What `tcpwhy trace 18480` in the server's namespace tells of refused connects. */
async function toldOf(lab: Lab, refuse: () => void) {
  const inHost = ['nsenter', `--net=${lab.server.path}`];
  await using running = await Running.start(['trace', '18480'], undefined, {}, inHost);
  refuse();
  await running.until((output) => output.count('no-listener') >= 3);
  const output = await running.stop();
  const [start] = output.objects as { filters?: string[] }[];
  const flows = output.findings
    .filter(({ cause }) => cause === 'no-listener')
    .map((one) => one.flow);
  return { filters: start?.filters, findings: output.summary.findings, flows };
}

it.each([
  [
    'nft',
    `table ip nat {
       chain docker {
         iifname "b0" return
         tcp dport 18480 dnat to ${CONTAINER}:80
         tcp dport 18481 dnat to ${CONTAINER}:81
       }
       chain prerouting { type nat hook prerouting priority -100; fib daddr type local jump docker; }
       chain output { type nat hook output priority -100; ip daddr != 127.0.0.0/8 fib daddr type local jump docker; }
     }`,
  ],
  [
    'iptables',
    `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i b0 -j RETURN
-A DOCKER ! -i b0 -p tcp -m tcp --dport 18480 -j DNAT --to-destination ${CONTAINER}:80
-A DOCKER ! -i b0 -p tcp -m tcp --dport 18481 -j DNAT --to-destination ${CONTAINER}:81
COMMIT
`,
  ],
] as const)(
  'a port that %s publishes of a container is asked for by its number on the host',
  async (by, ruleset) => {
    using lab = Lab.open();
    const container = containerOf(lab);
    if (by === 'nft') lab.server.exec('nft', ['-f', '-'], ruleset);
    else lab.server.exec('iptables-nft-restore', [], ruleset);
    const { filters, findings, flows } = await toldOf(lab, () => {
      for (const port of [18_480, 18_481]) {
        const server = { address: HOSTS[4].server, port };
        awaitReset(dial(lab, lab.client, server, 3), 'ECONNREFUSED');
      }
    });
    expect(filters).toEqual([`port 18480 or host ${CONTAINER} port 80`]);
    expect(findings).toMatchObject({ 'no-listener': 3 });
    expect(flows.map(({ daddr, dport, netns }) => [daddr, dport, netns])).toEqual([
      [CONTAINER, 80, container.inode],
    ]);
  },
);

it('a port that Docker’s proxy passes on is asked for by its number on the host', async () => {
  using lab = Lab.open();
  const container = containerOf(lab);
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-published-'));
  lab.defer(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'docker-proxy');
  symlinkSync('/bin/bash', path);
  const host = ['-proto', 'tcp', '-host-ip', '0.0.0.0', '-host-port', '18480'];
  const args = [...host, '-container-ip', CONTAINER, '-container-port', '80'];
  const proxy = spawn(path, ['-c', 'echo; read', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  await once(proxy.stdout, 'data');
  const { filters, flows } = await toldOf(lab, () => {
    for (const port of [80, 81])
      awaitReset(dial(lab, lab.server, { address: CONTAINER, port }, 3), 'ECONNREFUSED');
  });
  proxy.stdin.end();
  await once(proxy, 'close');
  expect(filters).toEqual([`port 18480 or host ${CONTAINER} port 80`]);
  expect(flows.map(({ daddr, dport, netns }) => [daddr, dport, netns])).toEqual([
    [CONTAINER, 80, container.inode],
  ]);
});
