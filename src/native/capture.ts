// SPDX-License-Identifier: Apache-2.0

import { loadAddon } from './binding.ts';

/** What was left out of what a capture gave. */
export interface CaptureCounts {
  packets: number;
  /** TCP, but not enough of its headers was captured. */
  cut: number;
  fragments: number;
  /** Of a kind of link that is not read, and the last such. */
  unknownLink: number;
  linkType: number;
  /** As whoever captured counted them. */
  dropped: number;
  /** Bytes that are not as they were written. */
  damaged: number;
  /** Bytes of a packet that was not whole at the end. */
  rest: number;
}

export interface CaptureReader {
  /** The next bytes of a capture, cut anywhere; `ahead`: read on another thread, while those before are taken. */
  give(bytes: Uint8Array, ahead: boolean): void;
  /**
   * Puts records of SEGMENT_BYTES each into `into`, and tells how many; 0 where what one give() gave is at an end.
   * Throws with `code` ENOCAPTURE where it is neither pcap nor pcapng.
   */
  take(into: Buffer): number;
  /** Of an end as it stands in a key, below 2 ** 30, as records have it. */
  hash(end: Uint8Array): number;
  /** Up to what was taken. */
  counts(): CaptureCounts;
}

interface Addon {
  CaptureReader: new (toaKinds: number[]) => CaptureReader;
  SEGMENT_BYTES: number;
}

const native = () => loadAddon<Addon>();

/** TCP options of `toaKinds` are laid out as 254. */
export function captureReader(toaKinds: readonly number[]): CaptureReader {
  return new (native().CaptureReader)([...toaKinds]);
}

/** Bytes of one record. */
export function segmentBytes(): number {
  return native().SEGMENT_BYTES;
}
