// SPDX-License-Identifier: Apache-2.0

import type { Header } from '../wire/types.gen.ts';
import type { Piece } from './messages.ts';

/** A recording, or what is read as one. Read to its end, or closed. */
export interface Stream {
  readonly path: string;
  readonly header: Header;
  readonly size_bytes: number;
  /** Bytes of the file that were read so far. */
  readonly read_bytes: number;
  /** Bytes of the file that all is in which was handed on so far. */
  readonly used_bytes: number;
  /** The messages after the header, in pieces. Can be gone through once. */
  pieces(): AsyncGenerator<Piece>;
  close(): Promise<void>;
}
