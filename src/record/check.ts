// SPDX-License-Identifier: Apache-2.0

import { crc32 } from 'node:zlib';
import { encodeEvent } from '../wire/decode.ts';

/** A check as it stands in the stream, length and all; its two numbers are at CRC_AT and LENGTH_AT. */
const CHECK = Buffer.from(encodeEvent({ tick: { check: { crc32: 1, bytes: 1 } } }));
const CRC_AT = 7;
const LENGTH_AT = 12;

export const CHECK_BYTES = CHECK.length;
/** How every check begins, so that the next one is found where a file is damaged. */
export const CHECK_BEGINS = CHECK.subarray(0, CRC_AT);

/** What went by since the last check. */
export class Checksum {
  bytes = 0;
  #crc32 = 0;

  add(bytes: Uint8Array): void {
    this.#crc32 = crc32(bytes, this.#crc32);
    this.bytes += bytes.length;
  }

  /** The check of it; what follows begins anew. */
  take(): Buffer {
    const check = Buffer.from(CHECK);
    check.writeUInt32LE(this.#crc32, CRC_AT);
    check.writeUInt32LE(this.bytes, LENGTH_AT);
    this.reset();
    return check;
  }

  /** Whether the check that begins at `at` of the stream is of what went by. */
  agrees(stream: Buffer, at: number): boolean {
    return (
      stream.readUInt32LE(at + CRC_AT) === this.#crc32 &&
      stream.readUInt32LE(at + LENGTH_AT) === this.bytes
    );
  }

  reset(): void {
    this.#crc32 = 0;
    this.bytes = 0;
  }
}

/** Whether a whole check begins at `at` of the stream. */
export function isCheck(stream: Buffer, at: number): boolean {
  return (
    stream[at] === CHECK[0] &&
    stream[at + 1] === CHECK[1] &&
    at + CHECK_BYTES <= stream.length &&
    stream.compare(CHECK, 0, CRC_AT, at, at + CRC_AT) === 0 &&
    stream[at + LENGTH_AT - 1] === CHECK[LENGTH_AT - 1]
  );
}
