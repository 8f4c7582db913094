// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { accept, dialFrom, hangUp } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import {
  attachRewriter,
  type Hook,
  loadRewriters,
  makeCgroup,
  rewriterLacks,
  within,
} from '../../src/lab/rewriter.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { must } from '../../src/native/sockets.ts';
import { type Finding, Running } from './tcpwhy.ts';

const TIMES = 7;
const PORT = 3280;
const lacks = rewriterLacks();

/** Which socket a client of which family reaches, and whose programs run then. */
const WAYS = [
  { socket: 4, client: 4, hook: 'getpeername4' },
  { socket: 6, client: 6, hook: 'getpeername6' },
  { socket: 6, client: 4, hook: 'getpeername6' },
] as const;
type Way = (typeof WAYS)[number];

it.skipIf(lacks).each(WAYS)(
  'names the programs that run for the socket: IPv$socket, dialled over IPv$client',
  async (way) => {
    await using tcpwhy = await Running.start();
    using lab = Lab.open();
    const { name } = lab.server;
    const outer = makeCgroup(lab, `${name}-outer`);
    const inner = makeCgroup(lab, `${name}-outer/inner`);
    const idle = makeCgroup(lab, `${name}-idle`);
    const [first, second, third, unused] = ['1', '2', '3', '4'].map((one) =>
      loadRewriters(lab, `${name}-${one}`),
    ) as [string, string, string, string];
    let port = PORT;
    const told = async (): Promise<unknown[]> => {
      port++;
      reach(lab, way, port, inner, idle);
      const found = (output: { findings: Finding[] }) =>
        output.findings.filter(
          ({ flow, where }) => lab.netnsInodes.includes(flow.netns) && where.endsWith(`:${port}`),
        );
      const isAll = (output: { findings: Finding[] }) =>
        found(output).reduce((sum, { count }) => sum + count, 0) >= TIMES;
      await tcpwhy.until(isAll);
      return found(tcpwhy.output).map(({ cause, count, evidence }) => ({
        ...{ cause, count },
        rewriter: evidence.rewriter,
      }));
    };
    const is = (rewriter: string) => [{ cause: 'peer-rewritten', count: TIMES, rewriter }];

    const other = way.hook === 'getpeername4' ? 'getpeername6' : 'getpeername4';
    attachRewriter(idle, way.hook, unused);
    attachRewriter(inner, other, unused);
    attachRewriter(inner, way.hook, first);
    const on = `on cgroup /${name}-outer/inner`;
    expect(await told()).toEqual(is(`${program(first, way.hook)} ${on}`));

    attachRewriter(inner, way.hook, second);
    expect(await told()).toEqual(is(`${program(second, way.hook)} ${on}`));

    execFileSync('bpftool', [
      'cgroup',
      'detach',
      inner,
      way.hook,
      'pinned',
      join(second, way.hook),
    ]);
    attachRewriter(outer, way.hook, third, 'multi');
    const above = `${program(third, way.hook)} on cgroup /${name}-outer`;
    expect(await told()).toEqual(is(above));

    attachRewriter(inner, way.hook, first, 'multi');
    const [{ rewriter } = { rewriter: '' }] = (await told()) as { rewriter: string }[];
    const both = [above, `${program(first, way.hook)} ${on}`];
    expect([`one of ${both.join(', ')}`, `one of ${both.reverse().join(', ')}`]).toContain(
      rewriter,
    );
  },
);

/** Opens the listener in one cgroup, and works in another. */
function reach(lab: Lab, way: Way, port: number, opened: string, working: string): void {
  const { server, balancer } = HOSTS[way.client];
  const listener = within(opened, () => lab.socket(lab.server, { family: way.socket }));
  must(listener.bind(way.socket === way.client ? server : '::', port), 'bind');
  must(listener.listen(TIMES), 'listen');
  const clients = lab
    .ports(TIMES)
    .map((from) => dialFrom(lab, { address: balancer, port: from }, { address: server, port }));
  within(working, () => {
    const pairs = accept(listener, clients);
    hangUp(pairs);
  });
  listener.close();
}

function program(pins: string, hook: Hook): string {
  const shown = execFileSync('bpftool', ['prog', 'show', 'pinned', join(pins, hook), '-j']);
  const { id, name } = JSON.parse(String(shown));
  return `BPF program ${name} (id ${id})`;
}
