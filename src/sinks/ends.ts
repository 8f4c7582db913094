// SPDX-License-Identifier: Apache-2.0

import type { EndText, Finding } from '../diagnose/finding.ts';
import { endpoint } from '../tcp/endpoint.ts';
import { printable } from './printable.ts';

/** Who is at each end that is on this host: `10.0.0.2:80: nginx (123), container 4f5e6d7c8b9a (docker), netns web`. */
export function endTexts({ ends = [] }: Finding): string[] {
  return ends.map((end) => printable(`${endpoint(end.addr, end.port)}: ${endText(end)}`));
}

function endText(end: EndText): string {
  const { pid, comm, container, container_name, runtime, pod_uid, unit, netns_name } = end;
  const { pod_name, pod_namespace } = end;
  const names = [container_name ? container : null, runtime].filter((name) => name !== null);
  return [
    ...(pid === null ? [] : [`${comm} (${pid})`]),
    ...(container === null
      ? []
      : [
          `container ${container_name ?? container}${names.length > 0 ? ` (${names.join(', ')})` : ''}`,
        ]),
    ...(pod_name
      ? [`pod ${pod_namespace ? `${pod_namespace}/` : ''}${pod_name}`]
      : pod_uid === null
        ? []
        : [`pod ${pod_uid}`]),
    ...(unit === null ? [] : [unit]),
    ...(netns_name === null ? [] : [`netns ${netns_name}`]),
  ].join(', ');
}
