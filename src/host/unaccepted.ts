// SPDX-License-Identifier: Apache-2.0

import { readFileSync, readlinkSync } from 'node:fs';
import { TCP_STATE } from '../tcp/states.ts';
import type { Flow, Process } from '../wire/types.gen.ts';
import { LISTENERS } from './accept-queues.ts';
import { attributes, messages, text } from './netlink.ts';
import { list } from './netns.ts';
import { type AskSockets, AT, addressAt, DIAG, socketsOfPort } from './port-users.ts';

/** The listeners of a port of which at least one has connections that wait. */
export interface Queue {
  port: number;
  /** Of those that somebody waits for: the numbers of their inodes. */
  inodes: readonly number[];
  usage: number;
  limit: number;
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

const BOTH_FAMILIES = [2, 10] as const;

/** The kernel lets one more wait than the limit. */
export function queuesIn(ask: AskSockets): Queue[] {
  const queues = new Map<number, Queue>();
  for (const body of answersOf(ask(LISTENERS))) {
    const usage = body.readUInt32LE(AT.rqueue);
    if (usage === 0) continue;
    const port = body.readUInt16BE(AT.sport);
    const limit = body.readUInt32LE(AT.wqueue);
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
  const requests = BOTH_FAMILIES.map((family) => socketsOfPort(family, port, OPEN, WITH_INFO));
  return answersOf(ask(requests)).flatMap((body) => {
    if (body.readUInt32LE(AT.inode) !== 0) return [];
    const [family, state] = [body[0], body[1]];
    const ulp = attributes(body, AT.end).get(ULP_INFO);
    const given_up = state === TCP_STATE.CLOSE_WAIT;
    return {
      id: body.toString('hex', AT.cookie, AT.cookie + 8),
      flow: {
        saddr: addressAt(body, AT.src, family),
        daddr: addressAt(body, AT.dst, family),
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

function answersOf(answers: readonly Buffer[]): Buffer[] {
  return answers
    .flatMap(messages)
    .filter(({ type, body }) => type === DIAG && body.length >= AT.end)
    .map(({ body }) => body);
}

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
