// SPDX-License-Identifier: Apache-2.0
//
// Connections whose both ends a router translates, captured or recorded on either side of it: one page knows that
// they are the same, and what each side calls their ends.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { TIMES } from '../../src/lab/conformance.ts';
import { awaitAll, awaitReset, dial, localOf, say } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { bracketed, forward, routeVip, rules } from '../../src/lab/nat.ts';
import type { Netns } from '../../src/lab/netns.ts';
import { BOTH } from '../../src/lab/scenario.ts';
import { HOSTS, plug } from '../../src/lab/wiring.ts';
import { must, POLLIN, type Socket } from '../../src/native/sockets.ts';
import type { Family } from '../../src/tcp/address.ts';
import { lacking } from '../software/service.ts';
import { Tcpdump } from '../software/tcpdump.ts';
import { Running, TCPWHY } from './tcpwhy.ts';

const PORT = 80;
const PORT_BEHIND = 8080;
/** The network behind the router. */
const BEHIND = {
  4: { router: '10.4.27.1', host: '10.4.27.2', bits: 24 },
  6: { router: '2001:db8:27::1', host: '2001:db8:27::2', bits: 64 },
} as const;
const MACS = { router: '02:00:00:00:01:11', behind: '02:00:00:00:01:22' } as const;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-translated-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The lab's server is the router. */
function translate(lab: Lab, family: Family): Netns {
  const behind = lab.netns('behind');
  plug(
    { netns: lab.server, device: 's1', mac: MACS.router },
    { netns: behind, device: 'b0', mac: MACS.behind },
  );
  const { router, host, bits } = BEHIND[family];
  const nodad = family === 6 ? ' nodad' : '';
  lab.server.ip(`addr add ${router}/${bits} dev s1${nodad}`);
  behind.ip(`addr add ${host}/${bits} dev b0${nodad}`);
  routeVip(lab, family);
  forward(lab.server);
  const to = bracketed(family, host, PORT_BEHIND);
  rules(
    lab.server,
    family,
    `chain in { type nat hook prerouting priority -100; tcp dport ${PORT} dnat to ${to}; }
     chain out { type nat hook postrouting priority 100; oifname s1 meta l4proto tcp snat to ${bracketed(family, router, 30_000)}-31000; }`,
  );
  return behind;
}

function listenBehind(lab: Lab, behind: Netns, family: Family): Socket {
  const listener = lab.socket(behind, { family });
  must(listener.bind(BEHIND[family].host, PORT_BEHIND), 'bind');
  must(listener.listen(TIMES), 'listen');
  return listener;
}

/** Each closes with what it was sent unread. Gives what the clients call themselves. */
function resets(lab: Lab, family: Family, listener: Socket): string[] {
  return Array.from({ length: TIMES }, () => {
    const to = { address: HOSTS[family].vip, port: PORT };
    const [client] = dial(lab, lab.client, to, 1);
    if (!client) throw new Error('nothing was dialled');
    awaitAll([listener], POLLIN, 'the connection');
    const { socket: server } = must(listener.accept({ name: false }), 'accept');
    say([client], 'GET / HTTP/1.1\r\n\r\n');
    awaitAll([server], POLLIN, 'the request');
    const { address, port } = localOf(client);
    server.close();
    awaitReset([client], 'ECONNRESET');
    return bracketed(family, address, port);
  });
}

const reportOf = (...files: string[]) =>
  execFileSync(TCPWHY, ['report', ...files], { encoding: 'utf8' });

/** What is said of each finding, that of the client first. */
function sections(report: string): string[] {
  const all = report.split(/^(?=### \d+\. )/m).slice(1);
  return all.toSorted(
    (a, b) => Number(b.includes('; on client')) - Number(a.includes('; on client')),
  );
}

describe.each(BOTH)('IPv%d connections that a router translates', (family) => {
  it.for(['captured', 'recorded'] as const)(
    'captured at the client, and %s behind it',
    async (how, { skip }) => {
      const missing = lacking('tcpdump', 'nft');
      skip(missing !== null, missing ?? '');
      using lab = Lab.open();
      const behind = translate(lab, family);
      using listener = listenBehind(lab, behind, family);
      const between = await Tcpdump.start(
        lab.server,
        join(folder, `between-${how}-${family}.pcap`),
      );
      const here = await Tcpdump.start(lab.client, join(folder, `client-${how}-${family}.pcap`));
      const file = join(folder, `behind-${how}-${family}`);
      const there =
        how === 'captured'
          ? await Tcpdump.start(behind, file)
          : await Running.start(['record', '--force', '-o', file, '--netns', behind.name]);
      const clients = resets(lab, family, listener);
      await here.stop();
      await between.stop();
      if (there instanceof Running) {
        await there.until((output) => output.count('unread-data-on-close') === TIMES);
        await there.stop();
      } else await there.stop();

      const report = reportOf(here.file, file);
      const newest = clients.at(-1);
      const service = bracketed(family, HOSTS[family].vip, PORT);
      const [mine, theirs, ...more] = sections(report);
      expect(more).toEqual([]);
      const host = bracketed(family, BEHIND[family].host, PORT_BEHIND);
      expect(mine).toContain('(`reset-by-peer`,');
      expect(mine).toContain(`Seen ${TIMES} times`);
      expect(mine).toMatch(/seen from another host: finding \d/);
      expect(mine).toContain(`\`${newest}\` here is \``);
      expect(mine).toContain(`\`${service}\` here is \`${host}\` at `);
      expect(theirs).toMatch(/seen from another host: finding \d/);
      expect(theirs).toContain(` here is \`${newest}\` at `);
      expect(theirs).toContain(`\`${host}\` here is \`${service}\` at `);
      // The router has both, and is no proxy.
      const passed = await (await Running.start(['explain', between.file])).ended();
      expect(passed.findings.map(({ cause, count }) => [cause, count])).toEqual([
        ['reset-by-peer', TIMES],
        ['reset-by-peer', TIMES],
      ]);
      expect(report).toMatch(/The clock of .* \(from \d+ segments seen at both ends/);
    },
  );
});
