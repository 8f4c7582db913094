// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../../../src/diagnose/finding.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { sums } from '../../../src/lab/conformance.ts';
import { CAUSES_OF_TEXTS } from '../../../src/texts/causes.ts';
import { parseCounters } from '../../../src/texts/counters.ts';
import { Log } from '../../../src/texts/log.ts';
import { movedBetween } from '../../../src/texts/moved.ts';
import { counterStream, logStream, type TextStream } from '../../../src/texts/stream.ts';

/** Occurrences by cause that two texts of counters tell of. */
export function toldByCounters(before: string, after: string): Record<string, number> {
  return sums(findingsOf(counters(before, after)));
}

export function counters(before: string, after: string): TextStream {
  const [then, now] = [parseCounters(before), parseCounters(after)];
  return counterStream('x', movedBetween(then, now), [then.values, now.values], 0);
}

export function log(text: string): TextStream {
  const log = new Log();
  for (const line of text.split('\n')) log.push(line);
  return logStream('x', log.said, 0);
}

export function findingsOf({ header, messages }: TextStream): Finding[] {
  const pipeline = new Pipeline(header, CAUSES_OF_TEXTS);
  pipeline.push(messages);
  pipeline.finish();
  return pipeline.engine.takeChanged().filter(({ count }) => count > 0);
}
