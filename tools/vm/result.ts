// SPDX-License-Identifier: Apache-2.0

import type { Row } from '../../src/lab/conformance.ts';

/** What `conformance.ts --json` says of a kernel. */
export interface Result {
  release: string;
  tier: string;
  hooks: { fact: string; hook: string; reason: string }[];
  /** Instructions that the verifier went through, by program; empty where a kernel does not tell. */
  verified: Record<string, number>;
  rows: Row[];
}

/** Finds it in what was printed; null where it is not. */
export function resultIn(printed: string): Result | null {
  const line = printed.split('\n').find((text) => text.startsWith('{"release"'));
  return line === undefined ? null : JSON.parse(line);
}
