// SPDX-License-Identifier: Apache-2.0

import { readSync, writeSync } from 'node:fs';
import { parseOptions } from './asked-options.ts';
import type { AttachOptions } from './attach.ts';

/**
 * What the two halves say to each other: who reads the kernel as root, and who does all the rest as the
 * user. A request is its length (u32) and JSON; an answer is one byte that says what it is, its length
 * (u32), and that.
 */
export type Request =
  | { call: 'open'; options: AttachOptions }
  | { call: 'beginParts' | 'begin' | 'again' | 'before' | 'means' }
  | { call: 'tick'; last: boolean }
  | { call: 'headerOf'; part: number }
  | { call: 'acceptQueues'; netns: number | null }
  | { call: 'footer' | 'end'; why: string; losses: Record<string, number> };

export const ANSWER = { bytes: 0, header: 1, error: 2 } as const;
export type Answer = { kind: number; bytes: Uint8Array };

/** Of an error, which is thrown again on the other side. */
export interface Refusal {
  code: string;
  message: string;
}

const MOST_REQUEST_BYTES = 1 << 16;
const MOST_LOSSES = 64;
const LENGTH_BYTES = 4;
const FEW_BYTES = 1 << 14;

export function writeRequest(fd: number, request: Request): void {
  const text = Buffer.from(JSON.stringify(request));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  writeAll(fd, Buffer.concat([length, text]));
}

/** The text of the next request; null at the end, or where what comes is none. */
export function readRequest(fd: number): string | null {
  const length = readExactly(fd, Buffer.alloc(LENGTH_BYTES))?.readUInt32LE();
  if (length === undefined || length > MOST_REQUEST_BYTES) return null;
  return readExactly(fd, Buffer.alloc(length))?.toString() ?? null;
}

/** What was asked; null: nothing that can be. Whoever asks may have been taken over. */
export function parseRequest(text: string): Request | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { call, last, part, netns, why, losses, options } = value as Record<string, unknown>;
  switch (call) {
    case 'beginParts':
    case 'begin':
    case 'again':
    case 'before':
    case 'means':
      return { call };
    case 'tick':
      return typeof last === 'boolean' ? { call, last } : null;
    case 'headerOf':
      return isCount(part) ? { call, part } : null;
    case 'acceptQueues':
      return netns === null || isCount(netns) ? { call, netns } : null;
    case 'footer':
    case 'end':
      return isWord(why) && isLosses(losses) ? { call, why, losses } : null;
    case 'open': {
      const asked = parseOptions(options);
      return asked && { call, options: asked };
    }
    default:
      return null;
  }
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isWord = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z_]{1,64}$/.test(value);

function isLosses(value: unknown): value is Record<string, number> {
  if (typeof value !== 'object' || value === null) return false;
  const rows = Object.entries(value);
  return (
    rows.length <= MOST_LOSSES && rows.every(([name, count]) => isWord(name) && isCount(count))
  );
}

export function writeAnswer(fd: number, { kind, bytes }: Answer): void {
  const head = Buffer.alloc(1 + LENGTH_BYTES);
  head.writeUInt8(kind);
  head.writeUInt32LE(bytes.length, 1);
  // At once, where that is little: each write wakes who reads.
  if (bytes.length <= FEW_BYTES) writeAll(fd, Buffer.concat([head, bytes]));
  else {
    writeAll(fd, head);
    writeAll(fd, bytes);
  }
}

/** The next answer, in `room` if it fits; null where the other half is gone. `wait` is called before each read. */
export function readAnswer(fd: number, room: Buffer, wait: () => void): Answer | null {
  const head = readExactly(fd, Buffer.alloc(1 + LENGTH_BYTES), wait);
  if (!head) return null;
  const length = head.readUInt32LE(1);
  const bytes = readExactly(
    fd,
    length <= room.length ? room.subarray(0, length) : Buffer.alloc(length),
    wait,
  );
  return bytes && { kind: head.readUInt8(), bytes };
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function readExactly(fd: number, into: Buffer, wait = () => {}): Buffer | null {
  for (let at = 0; at < into.length; ) {
    wait();
    const got = readSync(fd, into, at, into.length - at, null);
    if (got === 0) return null;
    at += got;
  }
  return into;
}
