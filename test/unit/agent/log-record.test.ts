// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { hrTime, recordId } from '../../../src/agent/log-record.ts';
import { Resources } from '../../../src/agent/resource.ts';
import type { EndText } from '../../../src/diagnose/finding.ts';
import { NOWHERE } from '../../../src/known/container.ts';
import { FINDING, KEY, RESOURCES, record } from './records.ts';

test('a finding as a record, each piece of evidence by its name', () => {
  const { attributes, ...told } = record();
  expect(told).toMatchObject({
    hrTime: [1_500_000_001, 0],
    hrTimeObserved: [1_600_000_000, 0],
    severityNumber: 13,
    severityText: 'WARNING',
    body: '10.0.0.1 dialled 10.0.0.2:80',
    eventName: 'tcpwhy.finding',
    resource: { attributes: { 'service.name': 'tcpwhy', 'host.name': 'web1', 'host.id': 'abc' } },
  });
  expect(attributes).toEqual({
    'tcpwhy.finding.id': recordId('abc', { run: '5', part: 1 }, FINDING.id),
    'tcpwhy.cause': 'no-listener',
    'tcpwhy.severity': 'warning',
    'tcpwhy.basis': 'direct',
    'tcpwhy.count': 3,
    'tcpwhy.first_time': '2017-07-14T02:40:00.000Z',
    'tcpwhy.subject': 'listener',
    'tcpwhy.where': '10.0.0.2:80',
    'tcpwhy.title': 'nothing listens there',
    'tcpwhy.advice': ['start it'],
    'tcpwhy.evidence.from': '10.0.0.1',
    'tcpwhy.evidence.ports': '[80]',
    'tcpwhy.evidence.asked': true,
    'tcpwhy.netns': 7,
    'tcpwhy.run': '5',
    'tcpwhy.connection.id': KEY,
    'tcpwhy.connection.ids': [KEY, 'isn 17'],
    'source.address': '10.0.0.1',
    'source.port': 4000,
    'destination.address': '10.0.0.2',
    'destination.port': 80,
    'network.type': 'ipv4',
    'network.transport': 'tcp',
    'error.type': 'no-listener',
  });
});

test('the ends by where they are, with the sequence numbers that are known', () => {
  const sides = {
    local: { address: '10.0.0.2', port: 80, isn: null },
    peer: { address: '10.0.0.1', port: 4000, isn: 17 },
    source: null,
  };
  const { attributes } = record({}, { sides });
  expect(attributes).toMatchObject({
    'network.local.address': '10.0.0.2',
    'network.local.port': 80,
    'network.peer.address': '10.0.0.1',
    'network.peer.port': 4000,
    'tcpwhy.isn.peer': 17,
  });
  expect(Object.keys(attributes)).not.toContain('tcpwhy.isn.local');
  expect(Object.keys(attributes)).not.toContain('source.address');
});

test('what has no connection that others see has no id of one', () => {
  const { attributes } = record({}, { keys: ['isn 17'] });
  expect(attributes).not.toHaveProperty('tcpwhy.connection.id');
  expect(attributes).toMatchObject({ 'tcpwhy.connection.ids': ['isn 17'] });
});

test('a container is a resource of its own, the same each time', () => {
  const container_id = '0123456789abcdef'.repeat(4);
  const container = { container: '0123456789ab', runtime: 'containerd', unit: null };
  const pod_uid = '6a1f7b0e-0000-4000-8000-000000000017';
  const end = (pid: number | null, port: number, of: Partial<EndText>): EndText => ({
    ...{ addr: '10.0.0.2', port, netns: 7, netns_name: null, pid, comm: null, ...NOWHERE, ...of },
  });
  const process = { pid: 1, comm: 'x', container: '0123456789ab' };
  const here = end(1, 80, { ...container, container_id, pod_uid });
  const other = end(2, 4000, { container_id: 'f'.repeat(64) });
  const { resource } = record({ process, ends: [other, here] });
  expect(resource).toBe(record({ process, ends: [here] }).resource);
  expect(resource.attributes).toMatchObject({
    ...{ 'container.id': container_id, 'k8s.pod.uid': pod_uid, 'host.id': 'abc' },
  });
  // Of another process than the finding’s.
  expect(record({ process, ends: [other] }).resource).toBe(RESOURCES.host);
  // Nobody is there, but in whose namespace it is, is known.
  const sides = {
    local: { address: '10.0.0.2', port: 80, isn: null },
    peer: { address: '10.0.0.1', port: 4000, isn: null },
    source: null,
  };
  const paused = end(null, 80, { pod_uid });
  const { attributes } = record({ ends: [other, paused] }, { sides }).resource;
  expect(attributes).toMatchObject({ 'k8s.pod.uid': pod_uid });
  expect(attributes).not.toHaveProperty('container.id');
  const named = end(1, 80, { ...container, container: 'web', container_id: null });
  expect(record({ process, ends: [named] }).resource).toBe(RESOURCES.host);
});

test('the id is the same for the same finding of the same recording, and for no other', () => {
  const origin = { run: '5', part: 1 };
  const ids = [
    recordId('abc', origin, 'x'),
    recordId('abd', origin, 'x'),
    recordId('abc', { run: '6', part: 1 }, 'x'),
    recordId('abc', { run: '5', part: 2 }, 'x'),
    recordId('abc', origin, 'y'),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  expect(recordId('abc', origin, 'x')).toBe(ids[0]);
  expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
});

test('a resource has what the environment says of it', () => {
  const env = { OTEL_SERVICE_NAME: 'net', OTEL_RESOURCE_ATTRIBUTES: 'host.id=h1,zone=a%2Cb' };
  const { host, host_id } = new Resources('', env, 'abc');
  expect(host_id).toBe('h1');
  expect(host.attributes).toMatchObject({ 'service.name': 'net', 'host.id': 'h1', zone: 'a,b' });
  expect(host.attributes).not.toHaveProperty('host.name');
});

test('times keep what a number of nanoseconds has', () => {
  expect(hrTime(1.6e18 + 123_456_768)).toEqual([1_600_000_000, 123_456_768]);
});
