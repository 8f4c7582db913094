// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { servedAtSource } from '../../tcp/service.ts';
import type { Flow } from '../../wire/types.gen.ts';

/** Evidence of a reset that a service sent of its own: why may be at a connect of its own that is not watched. */
export type Upstream = { watched_only?: string };

export function upstreamUnseen(flow: Flow, known: Knowledge): Upstream {
  const only = known.watchesPorts();
  return only.length > 0 && servedAtSource(flow) ? { watched_only: only.join(', ') } : {};
}

export function upstreamAdvice(at: string, { watched_only }: Upstream): string[] {
  return watched_only === undefined
    ? []
    : [
        `is ${at} a proxy or a sidecar? It does this where its own connect to what is behind it has failed, which would not be in here: only ${watched_only} is watched. \`tcpwhy trace\` without that, or with the port behind it too, shows it (proxy-upstream-failed)`,
      ];
}
