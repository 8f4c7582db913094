// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { attribute } from '../../../src/host/netlink.ts';
import { addressesLike, isOwn, routeOf, type Wanted } from '../../../src/host/routes.ts';

const [GETADDR, GETROUTE, GETRULE] = [22, 26, 34];
const [NEWADDR, NEWROUTE, NEWRULE] = [20, 24, 32];
const [TO_TABLE, BLACKHOLE, UNREACHABLE, PROHIBIT] = [1, 6, 7, 8];
const DUMP = 0x300;
const [EACCES, EINVAL, ENETUNREACH, EHOSTUNREACH] = [13, 22, 101, 113];

const WANTED: Wanted = {
  ...{ saddr: '0.0.0.0', sport: 0, daddr: '10.21.0.1', dport: 80 },
  ...{ mark: 0, uid: 0, ifindex: 0, device: '' },
};

function message(type: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, body]);
}

const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);
const bytes = (...values: number[]) => Buffer.from(values);
const route = (type: number, bits: number, table: number, ...parts: Buffer[]) =>
  message(NEWROUTE, bytes(2, bits, 0, 0, table, 0, 0, type, 0, 0, 0, 0), ...parts);
const to = (...address: number[]) => attribute(1, bytes(...address));
const rule = (
  priority: number,
  action: number,
  { dst = 0, src = 0, table = 0, flags = 0 },
  ...parts: Buffer[]
) =>
  message(
    NEWRULE,
    bytes(2, dst, src, 0, table, 0, 0, action, flags, 0, 0, 0),
    attribute(6, u32(priority)),
    ...parts,
  );
const MAIN = rule(32766, TO_TABLE, { table: 254 });
const refused = (errno: number) => message(2, bytes(256 - errno, 255, 255, 255));
const FOUND = route(1, 32, 254, attribute(7, bytes(10, 1, 0, 2)));

interface Host {
  rules?: Buffer[];
  routes?: Buffer[];
  /** By whether the source address is given. */
  lookup: (source: boolean, request: Buffer) => Buffer;
}

function ask({ rules = [MAIN], routes = [], lookup }: Host) {
  return (requests: Buffer[]) =>
    requests.map((request) => {
      const type = request.readUInt16LE(4);
      if (type === GETRULE) return Buffer.concat(rules);
      if (type !== GETROUTE) return Buffer.alloc(0);
      if (request.readUInt16LE(6) & DUMP) return Buffer.concat(routes);
      return lookup((request[18] ?? 0) > 0, request);
    });
}

const refuses = (errno: number) => () => refused(errno);

describe('what refuses a connect', () => {
  test('is the longest of the routes that do, in the table that is asked', () => {
    const routes = [
      route(PROHIBIT, 8, 254, to(10, 0, 0, 0)),
      route(PROHIBIT, 24, 254, to(10, 21, 0, 0)),
      route(PROHIBIT, 25, 254, to(10, 21, 0, 128)),
      route(PROHIBIT, 32, 9, to(10, 21, 0, 1)),
    ];
    const found = routeOf(ask({ routes, lookup: refuses(EACCES) }), WANTED);
    expect(found).toMatchObject({ errno: EACCES, type: 'prohibit', prefix: '10.21.0.0/24' });
    expect(found).toMatchObject({ table: 254, rule: '' });
  });

  test('may be a rule, where it is for this connect', () => {
    const rules = [
      rule(1, BLACKHOLE, { dst: 16 }, to(10, 22, 0, 0)),
      rule(2, BLACKHOLE, {}, attribute(10, u32(5))),
      rule(3, BLACKHOLE, {}, attribute(20, Buffer.concat([u32(1000), u32(1001)]))),
      rule(4, BLACKHOLE, {}, attribute(3, Buffer.from('eth0\0'))),
      rule(5, BLACKHOLE, { dst: 16, flags: 2 }, to(10, 21, 0, 0)),
      rule(6, BLACKHOLE, { dst: 12 }, to(10, 16, 0, 0)),
      MAIN,
    ];
    const found = (wanted: Partial<Wanted>) =>
      routeOf(ask({ rules, lookup: refuses(EINVAL) }), { ...WANTED, ...wanted }).rule;
    expect(found({})).toBe('6: from all to 10.16.0.0/12 blackhole');
    expect(found({ mark: 5 })).toBe('2: from all fwmark 0x5 blackhole');
    expect(found({ uid: 1000 })).toBe('3: from all uidrange 1000-1001 blackhole');
    expect(found({ daddr: '10.22.1.1' })).toBe('1: from all to 10.22.0.0/16 blackhole');
    expect(found({ daddr: '10.99.1.1' })).toBe('5: not from all to 10.21.0.0/16 blackhole');
  });

  test('may go by the source address that the kernel chose', () => {
    const rules = [rule(7, PROHIBIT, { src: 32 }, attribute(2, bytes(10, 1, 0, 2))), MAIN];
    const lookup = (source: boolean) => (source ? refused(EACCES) : FOUND);
    const found = routeOf(ask({ rules, lookup }), WANTED);
    expect(found).toMatchObject({ errno: EACCES, rule: '7: from 10.1.0.2 prohibit' });
  });

  test('is nothing where no route leads there', () => {
    const found = routeOf(ask({ lookup: refuses(ENETUNREACH) }), WANTED);
    expect(found).toMatchObject({ errno: ENETUNREACH, type: '', prefix: '', rule: '' });
  });

  test('is a default route too', () => {
    const routes = [route(UNREACHABLE, 0, 254)];
    const found = routeOf(ask({ routes, lookup: refuses(EHOSTUNREACH) }), WANTED);
    expect(found).toMatchObject({ type: 'unreachable', prefix: 'default', table: 254 });
  });

  test('is asked for by port only where rules go by it', () => {
    const protocol = (rules: Buffer[]) => {
      let asked = false;
      const lookup = (_: boolean, request: Buffer) => {
        asked = request.includes(attribute(27, bytes(6)));
        return FOUND;
      };
      routeOf(ask({ rules, lookup }), WANTED);
      return asked;
    };
    expect(protocol([MAIN])).toBe(false);
    expect(protocol([rule(8, PROHIBIT, {}, attribute(22, bytes(6))), MAIN])).toBe(true);
  });
});

test('a connect that has a route is not refused', () => {
  const found = routeOf(ask({ lookup: () => FOUND }), WANTED);
  expect(found).toMatchObject({ errno: 0, type: 'unicast' });
});

test('addresses are told by what becomes of them', () => {
  const address = (flags: number, scope: number, last: number) =>
    message(
      NEWADDR,
      bytes(10, 64, 0, scope, 1, 0, 0, 0),
      attribute(1, bytes(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last)),
      attribute(8, u32(flags)),
    );
  const found = addressesLike(
    (requests) =>
      requests.map((request) =>
        request.readUInt16LE(4) === GETADDR
          ? Buffer.concat([address(0, 0, 1), address(0x40, 0, 2), address(0x48, 253, 3)])
          : Buffer.alloc(0),
      ),
    '2001:db8::9',
  );
  expect(found).toMatchObject({ global: 2, tentative: 1, duplicate: 1 });
  expect(isOwn(() => [], '2001:db8::2', found)).toBe(true);
  expect(isOwn(() => [], '2001:db8::4', found)).toBe(false);
});
