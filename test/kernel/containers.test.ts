// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { recordedBeyond } from '../../src/agent/recorded.ts';
import { Resources } from '../../src/agent/resource.ts';
import { Lab } from '../../src/lab/lab.ts';
import { until } from '../../src/lab/until.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { Container } from '../software/containers.ts';
import { lacking } from '../software/service.ts';
import { type Finding, Running, TCPWHY } from './tcpwhy.ts';

const missing = lacking('runc', 'python3', 'ip', 'ss');

/** Accepts one connection, and resets it. */
const SERVER = (port: number) => `
import socket, struct
listener = socket.create_server(("0.0.0.0", ${port}))
connection, _ = listener.accept()
connection.recv(1)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.close()
while True: listener.accept()
`;

/** Is reset, then refused, and lives on. */
const CLIENT = (address: string, port: number) => `
import socket, time
connection = socket.create_connection(("${address}", ${port}))
connection.send(b"x")
try: connection.recv(1)
except ConnectionResetError: pass
try: socket.create_connection(("${address}", ${port + 1}))
except ConnectionRefusedError: pass
time.sleep(600)
`;

const PORT = 15_061;
const [CLIENT_ID, SERVER_ID] = ['c1'.repeat(32), 'd2'.repeat(32)];
const POD = '0a1b2c3d-1111-2222-3333-44445555666f';

type Place = Omit<NonNullable<Finding['ends']>[number], 'comm'>;

/** What two containers of two namespaces did to each other, as it was told. */
async function failures(begin: (containers: { client: Container; server: Container }) => void) {
  using lab = Lab.open();
  const [address, port] = [HOSTS[4].server, PORT];
  using server = new Container(lab.server.path, `/kubepods/burstable/pod${POD}/${SERVER_ID}`, [
    'python3',
    '-c',
    SERVER(port),
  ]);
  using client = new Container(lab.client.path, `/docker/${CLIENT_ID}`, [
    'python3',
    '-c',
    CLIENT(address, port),
  ]);
  begin({ client, server });
  const file = join('/tmp', `${server.name}.tcpwhy`);
  try {
    await using tcpwhy = await Running.start(['record', '-o', file, `:${port}`, `:${port + 1}`]);
    server.start();
    until(
      'the server to listen',
      () => lab.server.exec('ss', ['-ltnH']).includes(`:${port} `),
      20_000,
    );
    client.start();
    const told = await tcpwhy.until(
      (output) => output.count('linger-zero-close') === 1 && output.count('no-listener') === 1,
    );
    const { findings } = await tcpwhy.stop();
    if (!told) throw new Error(tcpwhy.stderr + JSON.stringify(findings));
    const run = (...args: string[]) => spawnSync(TCPWHY, args, { encoding: 'utf8' }).stdout;
    const replayed = run('replay', file, '--json');
    const ends = Object.fromEntries(
      findings.map(({ cause, ends }) => [cause, ends?.map(({ comm: _, ...end }) => end)]),
    );
    const places: { client: Place; server: Place } = {
      client: {
        ...{ addr: HOSTS[4].client, port: expect.any(Number), netns: lab.client.inode },
        ...{ netns_name: lab.client.name, pid: client.pid, unit: null, pod_uid: null },
        ...{ container: CLIENT_ID.slice(0, 12), container_id: CLIENT_ID, runtime: 'docker' },
      },
      server: {
        ...{ addr: address, port, netns: lab.server.inode },
        ...{ netns_name: lab.server.name, pid: server.pid, unit: null, pod_uid: POD },
        ...{ container: SERVER_ID.slice(0, 12), container_id: SERVER_ID, runtime: null },
      },
    };
    const nothing = { number: 1, run: '', part: 0, ktime_ns: 0 };
    const records = await recordedBeyond(file, nothing, new Resources('', {}, ''), 0);
    return {
      resources: Object.fromEntries(
        records.map(({ attributes, resource }) => [
          String(attributes['tcpwhy.cause']),
          resource.attributes,
        ]),
      ),
      ...{ ends, places, pids: { client: client.pid, server: server.pid } },
      processes: Object.fromEntries(findings.map(({ cause, process }) => [cause, process])),
      again: replayed,
      text: run('replay', file),
      report: run('report', file),
      anonymous: run('report', file, '--anonymize'),
    };
  } finally {
    rmSync(file, { force: true });
  }
}

describe.skipIf(missing)(`two containers (${missing ?? 'runc'})`, () => {
  const check = ({
    ends,
    places,
    pids,
    processes,
    resources,
    ...written
  }: Awaited<ReturnType<typeof failures>>) => {
    const { client, server } = places;
    expect(ends['linger-zero-close']).toHaveLength(2);
    expect(ends['linger-zero-close']).toEqual(expect.arrayContaining([client, server]));
    // Nobody listens there, so the process is not known, and the container is that of the namespace.
    expect(ends['no-listener']).toHaveLength(2);
    expect(ends['no-listener']).toEqual(
      expect.arrayContaining([client, { ...server, port: PORT + 1, pid: null }]),
    );
    expect(processes['linger-zero-close']).toMatchObject({
      ...{ pid: pids.server, container: server.container },
    });
    for (const cause of ['linger-zero-close', 'no-listener'])
      expect(resources[cause]).toMatchObject({
        ...{ 'container.id': SERVER_ID, 'k8s.pod.uid': POD },
      });
    const line = (one: Place, who: string) => [
      `${one.addr}:`,
      `${who} (${one.pid}), container ${one.container}${one.runtime ? ` (${one.runtime})` : ''}`,
      ...(one.pod_uid ? [`pod ${one.pod_uid}`] : []),
      `netns ${one.netns_name}`,
    ];
    for (const text of [written.text, written.report]) {
      const joined = text.replaceAll(/\s+/g, ' ');
      for (const part of [...line(client, 'python3'), ...line(server, 'python3')])
        expect(joined).toContain(part);
    }
    for (const name of [client.container, server.container, POD, client.netns_name])
      expect(written.anonymous).not.toContain(name);
    expect(written.anonymous).toMatch(/container 0{11}\d \(docker\), netns netns-\d/);
    expect(written.anonymous).toContain('pod 00000000-0000-0000-0000-000000000001');
    const told = written.again.split('\n').filter((json) => json.includes('"cause":"no-listener"'));
    expect(JSON.parse(told.at(-1) ?? '{}').ends).toEqual(
      expect.arrayContaining([expect.objectContaining({ container_id: CLIENT_ID })]),
    );
  };

  it('are named at both ends of what failed between them', async () => {
    check(await failures(() => {}));
  });

  it('are, where cgroup2 does not say', async ({ skip }) => {
    let left = true;
    const told = await failures(({ client, server }) => {
      left = [client, server].every((container) => container.leaveCgroup2());
    });
    skip(!left, 'there is only cgroup2');
    check(told);
  });
});
