// SPDX-License-Identifier: Apache-2.0
//
// node swapped.ts BUILT: what `check` runs in a virtual machine while tcpwhy records all of it: two
// modules that rewrite peers come and go at one address, and the one that is there is named. BUILT is
// where `build` builds.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accept, connect, dial, hangUp, knock, lingerZero } from '../../../src/lab/connections.ts';
import { Lab } from '../../../src/lab/lab.ts';
import { HOSTS } from '../../../src/lab/wiring.ts';
import { must } from '../../../src/native/sockets.ts';
import { type Finding, Output, Running, TCPWHY } from '../../kernel/tcpwhy.ts';
import { balance, load, type Module, sendOption, setKind, unload } from './toa.ts';

const TIMES = 7;
/** Exit status where there are findings. */
const FOUND = 1;
const PATIENCE_MS = 120_000;
const SWAPS = ['toa', 'toa_other', 'toa', 'toa_other'] as const;
const { server: SERVER } = HOSTS[4];
const built = process.argv[2] ?? '';

const directory = mkdtempSync(join(tmpdir(), 'tcpwhy-'));
const file = join(directory, 'swapped.tcpwhy');
await using tcpwhy = await Running.start(['record', '-o', file], PATIENCE_MS);
using lab = Lab.open();
let port = 9000;
await askForStacks();
balance(lab);
sendOption(lab, built);
setKind(254);
for (const module of SWAPS) {
  load(built, module);
  await aTick();
  await aTick();
  for (const family of [4, 6] as const) {
    const found = await rewrite(family);
    assert.deepEqual(found.map(shownBy), [nameOf(module, family)], JSON.stringify(found));
    console.log(`ok: ${found[0]?.summary}`);
  }
  unload(module);
}
for (const module of SWAPS) {
  load(built, module);
  const found = await rewrite(4);
  for (const one of found)
    assert.ok([null, nameOf(module, 4)].includes(shownBy(one)), JSON.stringify(one));
  console.log(`ok: at once: ${found.map((one) => `${one.count} × ${one.evidence.rewriter}`)}`);
  unload(module);
}
const { findings, status } = await tcpwhy.stop();
assert.equal(status, FOUND, tcpwhy.stderr);

const replayed = new Output();
const { stdout } = spawnSync(TCPWHY, ['replay', '--json', file], { encoding: 'utf8' });
for (const line of stdout.trim().split('\n')) replayed.add(line);
assert.deepEqual(replayed.findings, findings);
console.log(`ok: a replay finds the same: ${findings.length} findings`);
rmSync(directory, { recursive: true });

/** So that functions are asked for before a module is there. */
async function askForStacks(): Promise<void> {
  const pairs = connect(lab, { times: TIMES, family: 4 }, ++port);
  for (const { server, client } of pairs) {
    lingerZero(server);
    server.close();
    client.close();
  }
  assert.ok(await tcpwhy.until((output) => output.count('linger-zero-close') === TIMES));
}

/** Until tcpwhy has told of something that happened now. */
async function aTick(): Promise<void> {
  const to = { address: SERVER, port: ++port };
  const before = tcpwhy.output.count('no-listener');
  knock(lab, to, 1);
  assert.ok(await tcpwhy.until((output) => output.count('no-listener') > before, PATIENCE_MS));
}

/** What is found of connections to a socket of this family, which a module shows as another's. */
async function rewrite(family: 4 | 6): Promise<Finding[]> {
  const at = ++port;
  const listener = lab.socket(lab.server, { family });
  must(listener.bind(family === 4 ? SERVER : '::', at), 'bind');
  must(listener.listen(TIMES), 'listen');
  const pairs = accept(listener, dial(lab, lab.client, { address: SERVER, port: at }, TIMES));
  const found = (output: Output) =>
    output.findings.filter(
      ({ cause, where }) => cause === 'peer-rewritten' && where.endsWith(`:${at}`),
    );
  const isAll = (output: Output) =>
    found(output).reduce((sum, { count }) => sum + count, 0) === TIMES;
  assert.ok(await tcpwhy.until(isAll, PATIENCE_MS), JSON.stringify(found(tcpwhy.output)));
  hangUp(pairs);
  listener.close();
  return found(tcpwhy.output);
}

function shownBy({ evidence: { getname, module } }: Finding): string | null {
  return getname === null ? null : `${getname} [${module}]`;
}

function nameOf(module: Module, family: 4 | 6): string {
  return `inet${family === 6 ? '6' : ''}_getname_${module} [${module}]`;
}
