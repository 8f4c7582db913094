// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { recordedBeyond } from '../../src/agent/recorded.ts';
import { Resources } from '../../src/agent/resource.ts';
import { Containerd, containerdLacks } from '../software/containerd.ts';
import { lacking } from '../software/service.ts';
import { Running, TCPWHY } from './tcpwhy.ts';

const missing = lacking('containerd', 'ctr', 'runc', 'cc') ?? containerdLacks();

const PORT = 15_064;
/** As a pod's own container it only waits; else it accepts one connection, resets it, and lives on. */
const PROGRAM = `
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc > 1) {
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
		struct linger reset = {1, 0};
		int listener = socket(AF_INET, SOCK_STREAM, 0);
		bind(listener, (struct sockaddr *)&at, sizeof(at));
		listen(listener, 1);
		int accepted = accept(listener, NULL, NULL);
		setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(accepted);
	}
	for (;;)
		pause();
}
`;
const POD = {
  ...{ name: 'web-7d9f', namespace: 'shop' },
  uid: '0a1b2c3d-1111-2222-3333-44445555667a',
};

it.skipIf(missing)(
  `a container of containerd is called what Kubernetes calls it (${missing ?? 'CRI'})`,
  async () => {
    await using containerd = await Containerd.start(PROGRAM);
    const file = join('/tmp', `tcpwhy-names-${process.pid}.tcpwhy`);
    try {
      await using tcpwhy = await Running.start(['record', '-o', file, `:${PORT}`]);
      const container_id = await containerd.run(POD, 'server', [String(PORT)]);
      while (!(await connected())) await pause(50);
      const names = {
        ...{ container_id, container_name: 'server', pod_uid: POD.uid },
        ...{ pod_name: POD.name, pod_namespace: POD.namespace },
      };
      const told = await tcpwhy.until((output) => output.count('linger-zero-close') === 1);
      const { findings } = await tcpwhy.stop();
      if (!told) throw new Error(tcpwhy.stderr + JSON.stringify(findings));
      expect(findings.flatMap(({ ends = [] }) => ends)).toContainEqual(
        expect.objectContaining(names),
      );
      const run = (...args: string[]) => spawnSync(TCPWHY, args, { encoding: 'utf8' }).stdout;
      const said = `container server (${container_id.slice(0, 12)}), pod shop/web-7d9f`;
      for (const text of [run('replay', file), run('report', file)])
        expect(text.replaceAll(/\s+/g, ' ')).toContain(said);
      const anonymous = run('report', file, '--anonymize');
      for (const name of [
        'container server',
        'web-7d9f',
        'shop/',
        POD.uid,
        container_id.slice(0, 12),
      ])
        expect(anonymous).not.toContain(name);
      expect(anonymous).toContain('pod namespace-1/pod-1');
      const nothing = { number: 1, run: '', part: 0, ktime_ns: 0 };
      const records = await recordedBeyond(file, nothing, new Resources('', {}, ''), 0);
      expect(records.map(({ resource }) => resource.attributes)).toContainEqual(
        expect.objectContaining({
          ...{ 'container.id': container_id, 'container.name': 'server' },
          ...{ 'k8s.pod.uid': POD.uid, 'k8s.pod.name': 'web-7d9f' },
          ...{ 'k8s.namespace.name': 'shop', 'k8s.container.name': 'server' },
        }),
      );
    } finally {
      rmSync(file, { force: true });
    }
  },
);

/** Whether somebody listens there by now; comes back when that one has reset it. */
function connected(): Promise<boolean> {
  return new Promise((resolve) => {
    connect(PORT, '127.0.0.1').on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNRESET'),
    );
  });
}
