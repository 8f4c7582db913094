// SPDX-License-Identifier: Apache-2.0

import type { AcceptQueue } from '../host/accept-queues.ts';
import type { Limit } from '../host/limits.ts';
import type { Header } from '../wire/types.gen.ts';

/** A kernel that is watched, as a stream of bytes. The bytes of each call are there until the next one. */
export interface Source {
  readonly header: Header;
  /** Counts what is told, so that another file can go on from here: to be called first. */
  beginParts(): void;
  /** Sockets and owners that were there before: to be pushed first. */
  begin(): Uint8Array;
  /**
   * What happened since the last call, ending with a tick; with `last` of a file, the exact totals too. Empty where
   * there is nothing to tell yet.
   */
  tick(last?: boolean): Uint8Array;
  /** Sockets, and facts when they are next needed, as if nothing had been told yet. */
  again(): Uint8Array;
  /** What was told up to the last exact totals: another file goes on from them. */
  before(): Uint8Array;
  /** Header of another file that goes on from here. */
  headerOf(part: number): Header;
  footer(end: string, losses: Record<string, number>): Uint8Array;
  /** Detaches and takes what is left, then the end of the stream: why it ended, and what was lost. */
  end(why: string, losses?: Record<string, number>): Uint8Array;
  close(): void;
}

/** The kernel of this host, whichever process reads it, and what else that one is asked. */
export interface KernelSource extends Source {
  /** Whether it looks at the buffers between two ticks too, where nobody looks on (`rests_ms`). */
  readonly looks: boolean;
  /** Of every listener of a network namespace, null: of each that can be entered. */
  acceptQueues(netns: number | null): AcceptQueue[];
  means(): Means;
}

/** What the process that reads the kernel may do and have. */
export interface Means {
  /** Capabilities that it lacks, and what it cannot know for that. */
  missing: { name: string; without: string }[];
  limits: Limit[];
}
