// SPDX-License-Identifier: Apache-2.0

import { isDeepStrictEqual } from 'node:util';
import { Capture, type End, type Sight } from './capture.ts';
import type { Lab } from './lab.ts';
import { run } from './netns.ts';
import type { Made } from './scenario.ts';
import { atEachMoment } from './until.ts';

const ENDS: readonly End[] = ['client', 'server'];
const MOST_MOMENTS = 5;
/** They move with every segment, whatever becomes of it. */
const TRAFFIC = /^(InSegs|OutSegs|TCPOrigDataSent|TCPDelivered|TCPPureAcks|TCPHP\w+)$/;

/** The sockets of both ends once some things were so. */
export interface Moment {
  awaited: string[];
  /** Lines of ss, by end. */
  sockets: Record<End, string[]>;
}

/** What the two ends see of a failure, as people look at it who do not have tcpwhy. */
export interface View {
  packets: Sight[];
  moments: Moment[];
  /** Counters of netstat -s that moved, and by how much. */
  counters: Record<End, Record<string, number>>;
}

/** Does the work, and looks at both ends meanwhile. */
export function viewed(lab: Lab, work: () => Made): { made: Made; view: View } {
  const capture = new Capture(lab);
  const before = counters(lab);
  const moments: Moment[] = [];
  const look = (what: string) => {
    const sockets = { client: socketLines(lab, 'client'), server: socketLines(lab, 'server') };
    const last = moments.at(-1);
    if (last?.awaited.at(-1) === what) last.sockets = sockets;
    else if (isDeepStrictEqual(last?.sockets, sockets)) last?.awaited.push(what);
    else if (moments.length < MOST_MOMENTS) moments.push({ awaited: [what], sockets });
  };
  const made = atEachMoment(look, work);
  if (moments.length === 0) look('it to be over');
  const after = counters(lab);
  const moved = (end: End) =>
    Object.fromEntries(
      Object.entries(after[end])
        .map(([name, value]) => [name, value - (before[end][name] ?? 0)] as const)
        .filter(([name, by]) => by > 0 && !TRAFFIC.test(name)),
    );
  return {
    made,
    view: {
      packets: capture.take(),
      moments,
      counters: { client: moved('client'), server: moved('server') },
    },
  };
}

function socketLines(lab: Lab, end: End): string[] {
  const table = run('ip', ['netns', 'exec', lab[end].name, 'ss', '-tanH']);
  return table
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function counters(lab: Lab): Record<End, Record<string, number>> {
  const [client, server] = ENDS.map((end) =>
    Object.assign({}, lab[end].counters('Tcp'), lab[end].counters('TcpExt')),
  );
  return { client: client ?? {}, server: server ?? {} };
}
