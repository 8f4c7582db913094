// SPDX-License-Identifier: Apache-2.0
//
// node traced.ts BUILT: what `check` runs in a virtual machine while tcpwhy traces all of it. BUILT is
// where `build` builds.

import assert from 'node:assert/strict';
import { hangUp } from '../../../src/lab/connections.ts';
import { Lab } from '../../../src/lab/lab.ts';
import { run } from '../../../src/lab/netns.ts';
import { until } from '../../../src/lab/until.ts';
import { HOSTS } from '../../../src/lab/wiring.ts';
import { type Finding, Running } from '../../kernel/tcpwhy.ts';
import { forkStorm, netnsChurn } from '../../software/churn.ts';
import { FullNat } from './full-nat.ts';
import { KINDS, load, sendOption, setKind, unload, unloadInUse } from './toa.ts';

const TIMES = 7;
/** Exit status where there are findings. */
const FOUND = 1;
const PROCESSES = 1000;
const NAMESPACES = 20;
const CONNECTIONS = 10;
const EXPECTED = { 'peer-rewritten': TIMES, 'peer-collision': TIMES, 'crossed-reply': TIMES };
const PATIENCE_MS = 120_000;
const { client: CLIENT, vip: VIP } = HOSTS[4];
const built = process.argv[2] ?? '';

const before = attached();
await using tcpwhy = await Running.start([], PATIENCE_MS);
console.log('ok: tcpwhy traces');
await oneClientOnTwoWays();
console.log(`ok: ${await unloadInUse(built)}`);
await forkStorm(PROCESSES);
console.log(`ok: ${PROCESSES} processes`);
const inodes = await netnsChurn(NAMESPACES, CONNECTIONS);
console.log(`ok: ${inodes.length} network namespaces`);
const { findings, summary, status, objects } = await tcpwhy.stop();

assert.deepEqual(summary.findings, EXPECTED, JSON.stringify(findings, null, 1));
assert.equal(summary.unexplained, 0);
assert.equal(status, FOUND, tcpwhy.stderr);
const lost = objects.flatMap((line) =>
  line.type === 'loss' ? [`${line.count} ${line.name}`] : [],
);
console.log(`ok: nothing else was found, and lost was ${lost.join(', ') || 'nothing'}`);
until('what tcpwhy attached to be gone', () => attached() === before);
console.log('ok: nothing of it is left');

/** Failure 1: the server's process takes two connections for one, and what answers them crosses. */
async function oneClientOnTwoWays(): Promise<void> {
  load(built);
  using lab = Lab.open();
  const balancer = new FullNat(lab, TIMES);
  const { direct, balanced } = balancer.connect(() => {
    sendOption(lab, built);
    setKind(KINDS[0]);
  });
  const { direct: clients, balanced: balancers } = balancer.truePeers();
  assert.equal(clients.length, TIMES);
  assert.equal(balancers.length, TIMES);
  balancer.answerCrossed();
  await tcpwhy.until((output) => output.count('crossed-reply') >= TIMES, PATIENCE_MS);
  hangUp([...direct, ...balanced]);
  unload();

  const rewritten = only('peer-rewritten');
  assert.equal(rewritten.flow.netns, lab.server.inode);
  assert.equal(rewritten.evidence.getname, 'inet_getname_toa');
  assert.equal(rewritten.evidence.module, 'toa');
  assert.ok(balancers.includes(`${rewritten.evidence.true_peer}`));
  assert.ok(clients.includes(`${rewritten.evidence.shown_peer}`));
  console.log(`ok: ${rewritten.summary}`);

  const collision = only('peer-collision');
  assert.equal(collision.flow.netns, lab.server.inode);
  assert.ok(balancers.includes(`${collision.evidence.true_peer}`));
  assert.ok(clients.includes(`${collision.evidence.other_true_peer}`));
  assert.equal(collision.evidence.shown_peer, collision.evidence.other_true_peer);
  console.log(`ok: ${collision.summary}`);

  const crossed = only('crossed-reply');
  assert.equal(crossed.flow.netns, lab.client.inode);
  assert.equal(crossed.evidence.came_from, `${VIP}:3306`);
  assert.equal(crossed.evidence.fits, `${HOSTS[4].server}:3269`);
  assert.ok(`${crossed.evidence.local}`.startsWith(`${CLIENT}:`));
  console.log(`ok: ${crossed.summary}`);
}

function only(cause: string): Finding {
  const found = tcpwhy.output.findings.filter((finding) => finding.cause === cause);
  assert.equal(found.length, 1, `${cause}: ${JSON.stringify(found)}`);
  return found[0] as Finding;
}

/** Identities of everything that BPF has in this kernel. */
function attached(): string {
  const kinds = ['prog', 'map', 'link'].map((kind) => {
    const all: { id: number }[] = JSON.parse(run('bpftool', [kind, 'list', '-j']) || '[]');
    return [kind, all.map(({ id }) => id)];
  });
  return JSON.stringify(kinds);
}
