// SPDX-License-Identifier: Apache-2.0

import type { Resident } from '../known/places.ts';
import type { EndText, Finding } from './finding.ts';

/** Those ends of which more is known than the finding says without them; undefined: none. */
export function endsOf(
  residents: readonly Resident[],
  process: Finding['process'],
): EndText[] | undefined {
  const ends = residents.map(endOf).filter(({ pid, container, pod_uid, unit, netns_name }) => {
    const isOther = pid !== null && pid !== process?.pid;
    return isOther || [container, pod_uid, unit, netns_name].some((name) => name !== null);
  });
  return ends.length > 0 ? ends : undefined;
}

function endOf({ owner, place, ...end }: Resident): EndText {
  return { ...end, pid: owner?.pid ?? null, comm: owner?.comm ?? null, ...place };
}
