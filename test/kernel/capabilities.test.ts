// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { CAPABILITIES } from '../../src/host/capabilities.ts';
import { TIMES } from '../../src/lab/conformance.ts';
import { Lab } from '../../src/lab/lab.ts';
import { SCENARIOS } from '../../src/lab/scenarios.ts';
import { as, withCapabilities } from './reader-service.ts';
import { type Output, Running, TCPWHY } from './tcpwhy.ts';

const NOBODY = 65_534;
const LEAST = ['bpf', 'perfmon'];
const ALL = Object.keys(CAPABILITIES).map((name) => name.replace('CAP_', '').toLowerCase());

/** Without CAP_IPC_LOCK, and with as little locked memory as older systems give. */
const having = (...names: string[]) => [
  'prlimit',
  '--memlock=65536',
  ...as(NOBODY),
  ...withCapabilities(...names),
];

const lost = ({ objects }: Output) =>
  Object.fromEntries(
    objects.flatMap((line) => (line.type === 'loss' ? [[line.name, line.count]] : [])),
  );

/** What is told of a rule that drops, by somebody who is not root and has these capabilities. */
async function ruleBy(...names: string[]) {
  const scenario = SCENARIOS.find(({ id }) => id === 'netfilter-drop');
  if (!scenario) throw new Error('no such scenario');
  using lab = Lab.open();
  scenario.prepare?.(lab, { times: TIMES, family: 4 });
  const args = ['trace', '--netns', `${lab.server.inode}`];
  await using tcpwhy = await Running.start(args, undefined, {}, having(...names));
  scenario.run(lab, { times: TIMES, family: 4 });
  await tcpwhy.until((output) => output.count(scenario.cause) >= TIMES);
  const output = await tcpwhy.stop();
  expect(output.count(scenario.cause)).toBe(TIMES);
  return { evidence: output.findings[0]?.evidence, lost: lost(output) };
}

it('CAP_BPF and CAP_PERFMON are enough to watch; what is not known for want of others is a loss', async () => {
  const { evidence, lost } = await ruleBy(...LEAST);
  expect(evidence?.rule).toBeNull();
  expect(lost.netns_refused).toBeGreaterThan(0);
}, 120_000);

it('without CAP_NET_ADMIN a rule that is asked for in vain is a loss', async () => {
  const { evidence, lost } = await ruleBy(...ALL.filter((name) => name !== 'net_admin'));
  expect(evidence?.rule).toBeNull();
  expect(lost.host_refused).toBeGreaterThan(0);
}, 120_000);

it('with all that README names nothing is lost', async () => {
  const { evidence, lost } = await ruleBy(...ALL);
  expect(evidence?.rule).toContain('drop');
  expect(lost).toEqual({});
}, 120_000);

it.each([
  ...Object.keys(CAPABILITIES).filter((name) => !['CAP_BPF', 'CAP_PERFMON'].includes(name)),
])('doctor says what lacking %s costs', (name) => {
  const rest = ALL.filter((one) => `CAP_${one.toUpperCase()}` !== name);
  const [command = '', ...args] = having(...rest);
  const { stdout } = spawnSync(command, [...args, TCPWHY, 'doctor', '--json'], {
    encoding: 'utf8',
  });
  const { capabilities_missing, symbols } = JSON.parse(stdout);
  expect(capabilities_missing).toEqual([name]);
  expect(symbols).toBe(name !== 'CAP_SYSLOG');
  const { stdout: text } = spawnSync(command, [...args, TCPWHY, 'doctor'], { encoding: 'utf8' });
  expect(text.replaceAll(/\n +/g, ' ')).toContain(
    `Without ${name}: ${CAPABILITIES[name as keyof typeof CAPABILITIES].without}.`,
  );
});

it.each([
  {
    who: 'root without capabilities',
    by: ['setpriv', '--bounding-set=-all', '--inh-caps=-all'],
    says: /^tcpwhy: not permitted .*: this is root, but with less than CAP_BPF and CAP_PERFMON, .*--cap-add/,
  },
  {
    who: 'root of a user namespace',
    by: ['unshare', '--user', '--map-root-user'],
    says: /^tcpwhy: not permitted .*: root of a rootless container .*\n {2}BPF: .* user namespace/,
  },
])('$who is told so', ({ by: [command = '', ...args], says }) => {
  const { status, stderr } = spawnSync(command, [...args, TCPWHY, 'doctor'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([2, expect.stringMatching(says)]);
});

it('doctor says what reading tracefs takes', () => {
  const [command = '', ...args] = having('bpf', 'perfmon');
  const { stdout } = spawnSync(command, [...args, TCPWHY, 'doctor', '--tier', 'tracepoints'], {
    encoding: 'utf8',
  });
  expect(stdout.replaceAll(/\n +/g, ' ')).toContain(
    'tp/syscalls/sys_exit_getpeername: tp: not permitted: needs CAP_DAC_READ_SEARCH, to read tracefs',
  );
});

it.each([
  ['bpf', /^tcpwhy: not permitted to load BPF programs: .*CAP_BPF and CAP_PERFMON/],
  ['perfmon', /^tcpwhy: not permitted to watch the kernel: run it as root/],
])('%s alone is not enough, and it says what is', (name, says) => {
  const [command = '', ...args] = having(name);
  const { status, stderr } = spawnSync(command, [...args, TCPWHY, 'doctor'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toMatch(says);
});
