// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { containerNames } from '../../../src/host/container-names.ts';

const ID = 'ab'.repeat(32);
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tcpwhy-names-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** As the runtime of a host has it there. */
function has(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

const POD = { container_name: 'web', pod_name: 'web-7d9f', pod_namespace: 'shop' };

test.each<[runtime: string, path: string, annotations: object, names: object]>([
  [
    'containerd',
    `run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`,
    {
      'io.kubernetes.cri.container-name': 'web',
      'io.kubernetes.cri.sandbox-name': 'web-7d9f',
      'io.kubernetes.cri.sandbox-namespace': 'shop',
    },
    POD,
  ],
  [
    'containerd, for the pod itself',
    `run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`,
    {
      'io.kubernetes.cri.container-type': 'sandbox',
      'io.kubernetes.cri.sandbox-name': 'web-7d9f',
      'io.kubernetes.cri.sandbox-namespace': 'shop',
    },
    { ...POD, container_name: '' },
  ],
  [
    'CRI-O',
    `run/containers/storage/overlay-containers/${ID}/userdata/config.json`,
    {
      'io.kubernetes.container.name': 'web',
      'io.kubernetes.pod.name': 'web-7d9f',
      'io.kubernetes.pod.namespace': 'shop',
    },
    POD,
  ],
])('as %s wrote them', (_, path, annotations, names) => {
  has(path, JSON.stringify({ ociVersion: '1.0.2', annotations }));
  expect(containerNames(ID, [root])).toEqual(names);
  expect(containerNames('cd'.repeat(32), [root])).toBe(null);
});

test('as Docker wrote them', () => {
  has(`var/lib/docker/containers/${ID}/config.v2.json`, '{"ID":"x","Name":"/web","Config":{}}');
  expect(containerNames(ID, [join(root, 'nowhere'), root])).toEqual({
    ...{ container_name: 'web', pod_name: '', pod_namespace: '' },
  });
});

test('as podman wrote them', () => {
  const userdata = `run/containers/storage/overlay-containers/${ID}/userdata/config.json`;
  has(userdata, '{"annotations":{"io.container.manager":"libpod"}}');
  has(
    'var/lib/containers/storage/overlay-containers/containers.json',
    JSON.stringify([{ id: 'x' }, { id: ID, names: ['web'], image: 'y' }]),
  );
  expect(containerNames(ID, [root])).toMatchObject({ container_name: 'web' });
});

test.each([
  '',
  '{',
  'null',
  '[]',
  '{"annotations":3}',
  '{"Name":{"a":1},"Config":null}',
  '[null,{"id":1}]',
])('nothing is said by %j', (content) => {
  has(`run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`, content);
  has(`var/lib/docker/containers/${ID}/config.v2.json`, content);
  has('var/lib/containers/storage/vfs-containers/containers.json', content);
  expect(containerNames(ID, [root])).toBe(null);
});
