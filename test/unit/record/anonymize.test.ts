// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { placeOf } from '../../../src/known/container.ts';
import { Anonymizer } from '../../../src/record/anonymize.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import type { Event } from '../../../src/wire/event.ts';
import { readFixture, streamOf } from '../causes/fixture.ts';

const prefix = (address: string, separator: string, parts: number) =>
  address.split(separator).slice(0, parts).join(separator);

describe('addresses', () => {
  test('keep family, equality and subnets, and nothing else', () => {
    const names = new Anonymizer();
    const [a, b, c, d] = ['10.4.26.45', '10.4.26.11', '10.4.99.1', '192.0.2.7'].map((address) =>
      names.address(address),
    ) as [string, string, string, string];
    expect(new Set([a, b, c, d]).size).toBe(4);
    expect(prefix(a, '.', 3)).toBe(prefix(b, '.', 3));
    expect(prefix(a, '.', 2)).toBe(prefix(c, '.', 2));
    expect(prefix(a, '.', 3)).not.toBe(prefix(c, '.', 3));
    expect(prefix(a, '.', 2)).not.toBe(prefix(d, '.', 2));
    expect(names.address('10.4.26.45')).toBe(a);
    const [v6, near, far] = ['2001:db8:26::11', '2001:db8:26::45', '2001:db8:13::13'].map(
      (address) => names.address(address),
    ) as [string, string, string];
    expect(prefix(v6, '::', 1)).toBe(prefix(near, '::', 1));
    expect(prefix(v6, '::', 1)).not.toBe(prefix(far, '::', 1));
    expect([v6, near, far].every((address) => address.includes(':'))).toBe(true);
  });

  test('differ where they differed, of many nets and subnets', () => {
    const names = new Anonymizer();
    const old = Array.from(
      { length: 30_000 },
      (_, i) => `${1 + (i % 97)}.${i % 251}.${i % 241}.${i % 239}`,
    );
    const made = new Map(old.map((address) => [names.address(address), address]));
    expect(made.size).toBe(new Set(old).size);
  });

  test.each(['127.0.0.1', '::1', '::', '0.0.0.0'])('%s stays', (address) => {
    expect(new Anonymizer().address(address)).toBe(address);
  });

  test('are found within a text; times and names are not taken for addresses', () => {
    const names = new Anonymizer();
    const of = names.address('192.0.2.7');
    const v6 = names.address('2001:db8::7');
    expect(names.text('host 192.0.2.7, port [2001:db8::7]:80 at 12:30:59 std::map 1.2.3')).toBe(
      `host ${of}, port [${v6}]:80 at 12:30:59 std::map 1.2.3`,
    );
  });
});

describe('in a text', () => {
  const names = new Anonymizer();
  const [v4, v6] = [names.address('192.0.2.7'), names.address('2001:db8::7')];

  test.each([
    ['192.0.2.7:3306', `${v4}:3306`],
    ['192.0.2.7/32', `${v4}/32`],
    ['from 192.0.2.7.', `from ${v4}.`],
    ['from 2001:db8::7.', `from ${v6}.`],
    ['2001:db8::7: refused', `${v6}: refused`],
    ['2001:db8::7/128', `${v6}/128`],
  ])('%s is hidden', (text, hidden) => {
    expect(names.text(text)).toBe(hidden);
  });

  test.each([
    ['colons', ':'],
    ['digits', '1'],
    ['dots', '1234.'],
    ['hexadecimal digits', 'a:'],
  ])('very long %s take no longer than they are long', { timeout: 5000 }, (_, part) => {
    const text = `${part.repeat(300_000)}g`;
    expect(names.text(text) === text).toBe(true);
  });
});

describe('events', () => {
  const read = (id: string, names: Anonymizer) => {
    const { header, events } = readFixture(id, 'fires');
    const pipeline = new Pipeline(names.header(header), CAUSES, null, (event) =>
      names.event(event),
    );
    pipeline.push(streamOf(events));
    pipeline.finish();
    return [...pipeline.engine.findings.values()].map(({ finding }) => finding);
  };

  test('have the same causes, without a name or an address of before', () => {
    const { header, events } = readFixture('accept-queue-full', 'fires');
    const before = new Pipeline(header, CAUSES);
    before.push(streamOf(events));
    before.finish();
    const old = [...before.engine.findings.values()].map(({ finding }) => finding);
    const made = read('accept-queue-full', new Anonymizer());
    expect(made.map(({ cause, count }) => [cause, count])).toEqual(
      old.map(({ cause, count }) => [cause, count]),
    );
    const text = JSON.stringify(made);
    for (const { flow, process } of old) {
      expect(text).not.toContain(`${flow.saddr}:`);
      expect(text).not.toContain(`${flow.daddr}:`);
      if (process) expect(text).not.toContain(process.comm);
    }
  });

  test('are the same twice', () => {
    expect(read('peer-collision', new Anonymizer())).toEqual(
      read('peer-collision', new Anonymizer()),
    );
  });

  test('keep containers apart, and below the same cgroups', () => {
    const names = new Anonymizer();
    const id = (digit: string) => digit.repeat(64);
    const path = (text: string) => {
      const body = { symbol: null, peer_rewriter: null, cgroup: { id: '1', path: text } };
      const event = { ktime_ns: 0, cpu: 0, netns: 0, key: '0', occurrences: 1, kind: 'fact', body };
      return (names.event(event as never).body as typeof body).cgroup.path;
    };
    const places = (text: string) => placeOf(path(text));
    const UID = '0a1b2c3d-1111-2222-3333-44445555666f';
    // As the kubelet writes it for pods of each class, and in the same level as the container.
    for (const of of [
      `/kubepods.slice/kubepods-pod${UID.replaceAll('-', '_')}.slice/crio-${id('c')}.scope`,
      `/kubepods/burstable/pod${UID}/${id('c')}`,
      `/a.slice/kubepods-burstable-pod${UID.replaceAll('-', '_')}.slice:cri-containerd:${id('c')}`,
    ]) {
      const { pod_uid, container, runtime } = places(of);
      expect(pod_uid).toBe('00000000-0000-0000-0000-000000000001');
      expect(container).toMatch(/^0{11}1$/);
      expect(runtime).toBe(placeOf(of).runtime);
      expect(path(of)).not.toMatch(/0a1b2c3d|cccc/);
    }
    expect(places('/system.slice/shop.service').unit).toMatch(/^cgroup-\d+\.service$/);
    expect(places('/lxc.payload.shop')).toMatchObject({ container: 'container-1', runtime: 'lxc' });
    expect(places('/machine.slice/machine-shop.scope').container).toBe('container-1');

    const [one, two] = [path(`/system.slice/docker-${id('a')}.scope`), path(`/docker/${id('b')}`)];
    expect(one).toMatch(/^\/system\.slice\/docker-0{11}2/);
    expect(two).toMatch(/^\/docker\/0{11}3/);
    expect(
      path('/system.slice/shop.service/worker').startsWith(path('/system.slice/shop.service')),
    ).toBe(true);
    expect(path('/system.slice/shop.service')).not.toContain('shop');
  });
});

test('names in firewall rules are others', () => {
  const names = new Anonymizer();
  const rule = (text: string) => ({ table: 'acme', chain: 'office_in', family: 'inet', text });
  const body = {
    drop_rules: {
      rules: [
        rule(
          'iifname "acme-dmz0" oifname != { "eth0", "acme-lan" } ip saddr @acme_office drop comment "ACME office"',
        ),
        rule('ip saddr 10.9.8.7 jump acme_log'),
        { ...rule('policy drop'), table: 'filter', chain: 'INPUT' },
      ],
    },
    device: { name: 'x', device: 'acme-dmz0' },
  };
  const event = { ktime_ns: 0, cpu: 0, netns: 0, key: '0', occurrences: 1, kind: 'fact', body };
  const told = names.event(event as never).body as unknown as typeof body;
  const [one, two, ordinary] = told.drop_rules.rules;
  expect(one).toEqual({
    table: 'table-1',
    chain: 'chain-1',
    family: 'inet',
    text: `iifname "${told.device.device}" oifname != { "eth0", "device-2" } ip saddr @set-1 drop comment "text-1"`,
  });
  expect(two?.text).toMatch(/^ip saddr [\d.]+ jump chain-2$/);
  expect(ordinary).toMatchObject({ table: 'filter', chain: 'INPUT', text: 'policy drop' });
  expect(JSON.stringify(told)).not.toMatch(/acme|10\.9\.8\.7/i);
});

test('in a line of a kernel’s log the device and addresses are others', () => {
  const event = eventFromJson({
    kernel_said: { line: 'IPv4: martian source 10.9.8.7 from 127.0.0.1, on dev acme-dmz0' },
  });
  const { body } = new Anonymizer().event(event) as Event<'kernel_said'>;
  expect(body.line).toMatch(/^IPv4: martian source [\d.]+ from 127\.0\.0\.1, on dev device-1$/);
  expect(body.line).not.toContain('10.9.8.7');
});

test('no text of an event is left as it was by chance', () => {
  const proto = readFileSync(
    join(import.meta.dirname, '../../../proto/tcpwhy/v1/event.proto'),
    'utf8',
  );
  const texts = [...proto.matchAll(/^ {2}(?:repeated )?string (\w+) = /gm)].map(([, name]) => name);
  const told = [
    'mib',
    'holds',
    'name',
    'module',
    'path',
    'cgroup_path',
    'netns_name',
    'container_id',
    'container_name',
    'pod_name',
    'pod_namespace',
    'program',
    'device',
    'comm',
    'pins',
    'table',
    'chain',
    'text',
    // Of a kernel's log: its device is another.
    'line',
    // Names of the kernel's, and of causes.
    'counter',
    'waits_in',
    'cause',
    'by',
    // Of rules and modules: addresses in them are others.
    'legacy_read',
    'legacy_tables',
    'family',
    'ends',
    'end',
    // Addresses, and behind them a port.
    'address',
    'remote',
    'halted',
    'tracer',
    // The kernel's own words.
    'hook',
    'kind',
    'actions',
    'handle',
    'parent',
    'limits',
    'state',
    'route_type',
    'modules',
    // MACs, which are others.
    'mac',
    'mac_before',
    // Letters for what was sent.
    'history',
    // Numbers.
    'reserved_ports',
    // Addresses and numbers only, with the kernel's own words.
    'prefix',
    'rule',
  ];
  expect(texts.filter((name) => !told.includes(String(name)))).toEqual([]);
});
