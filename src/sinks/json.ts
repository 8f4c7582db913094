// SPDX-License-Identifier: Apache-2.0

import type { Finding } from '../diagnose/finding.ts';
import { jsonText } from './printable.ts';
import type { Sink } from './sink.ts';
import { rfc3339 } from './time.ts';

/** Newline-delimited JSON, one object a line (docs/json.md). */
export function jsonSink(write: (text: string) => void): Sink {
  const line = (object: object) => write(`${jsonText(object)}\n`);
  return {
    start: ({ time_ns, ...start }) => line({ type: 'start', ...start, time: rfc3339(time_ns) }),
    event: ({ cpu, netns, occurrences, seq, time_ns, kind, body }) => {
      const time = rfc3339(time_ns);
      line({ type: 'event', cpu, netns, occurrences, seq, time, kind, [kind]: body });
    },
    finding: (finding) => line({ type: 'finding', ...findingJson(finding) }),
    capture: (row) => line({ type: 'capture', ...row }),
    counters: (row) => line({ type: 'counters', ...row }),
    log: (row) => line({ type: 'log', ...row }),
    joined: (row) => line({ type: 'joined', ...row }),
    loss: (row) => line({ type: 'loss', ...row }),
    summary: (summary) => line({ type: 'summary', ...summary }),
  };
}

function findingJson({ first_ns, last_ns, evidence, advice, events, ...finding }: Finding) {
  return { ...finding, first: rfc3339(first_ns), last: rfc3339(last_ns), evidence, advice, events };
}
