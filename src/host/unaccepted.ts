// SPDX-License-Identifier: Apache-2.0

import { readFileSync, readlinkSync } from 'node:fs';
import { TCP_STATE } from '../tcp/states.ts';
import type { Flow, Process } from '../wire/types.gen.ts';
import { type AcceptQueue, acceptQueueOf } from './accept-queues.ts';
import { attributes, text } from './netlink.ts';
import { list } from './netns.ts';
import { type AskSockets, AT, addressAt, bodiesIn, LISTENERS, socketsOfPort } from './sock-diag.ts';

/** The listeners of a port of which at least one has connections that wait. */
export interface Queue extends AcceptQueue {
  /** Of those that somebody waits for: the numbers of their inodes. */
  inodes: readonly number[];
  /** One of them takes no more. */
  is_full: boolean;
}

/** A connection that no process has. */
export interface Unaccepted {
  /** As long as it is there. */
  id: string;
  flow: Flow;
  unread_bytes: number;
  /** The client has closed it. */
  given_up: boolean;
  mptcp: boolean;
}

export function queuesIn(ask: AskSockets): Queue[] {
  const queues = new Map<number, Queue>();
  for (const body of bodiesIn(ask(LISTENERS))) {
    const { port, usage, limit } = acceptQueueOf(body);
    if (usage === 0) continue;
    const before = queues.get(port);
    queues.set(port, {
      port,
      inodes: [...(before?.inodes ?? []), body.readUInt32LE(AT.inode)],
      usage: usage + (before?.usage ?? 0),
      limit: limit + (before?.limit ?? 0),
      is_full: usage > limit || (before?.is_full ?? false),
    });
  }
  return [...queues.values()];
}

/** A process that closes one first leaves these states: what is in them and has no file waits for accept(). */
const OPEN = (1 << TCP_STATE.ESTABLISHED) | (1 << TCP_STATE.CLOSE_WAIT);

export function unacceptedAt(ask: AskSockets, port: number): Unaccepted[] {
  return bodiesIn(ask(socketsOfPort(port, OPEN, WITH_INFO))).flatMap((body) => {
    if (body.readUInt32LE(AT.inode) !== 0) return [];
    const ulp = attributes(body, AT.attributes).get(ULP_INFO);
    const given_up = body[AT.state] === TCP_STATE.CLOSE_WAIT;
    return {
      id: body.toString('hex', AT.cookie, AT.cookie + 8),
      flow: {
        saddr: addressAt(body, AT.src),
        daddr: addressAt(body, AT.dst),
        sport: body.readUInt16BE(AT.sport),
        dport: body.readUInt16BE(AT.dport),
        service: SERVED_HERE,
      },
      // A FIN counts there.
      unread_bytes: body.readUInt32LE(AT.rqueue) - Number(given_up),
      given_up,
      mptcp: text(attributes(ulp, 0).get(ULP_NAME)) === 'mptcp',
    };
  });
}

const SERVED_HERE = 1;
/** Of the attribute INET_DIAG_INFO, with which the others come. */
const WITH_INFO = 1 << 1;
/** INET_DIAG_ULP_INFO: what has taken over the socket, by its name. */
const [ULP_INFO, ULP_NAME] = [19, 1];

/** Those that have one of these sockets open: every open file of every process is looked at. */
export function holdersOf(inodes: readonly number[], most: number, proc = '/proc'): Process[] {
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  const found: Process[] = [];
  for (const pid of list(proc)) {
    if (!/^\d+$/.test(pid)) continue;
    const folder = `${proc}/${pid}/fd`;
    if (!list(folder).some((fd) => wanted.has(linkOf(`${folder}/${fd}`)))) continue;
    found.push({ pid: Number(pid), comm: commOf(`${proc}/${pid}/comm`) });
    if (found.length === most) break;
  }
  return found;
}

/** Empty where it is gone. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function commOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
