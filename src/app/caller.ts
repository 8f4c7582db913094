// SPDX-License-Identifier: Apache-2.0

import { becomeAndRead, type Caller, callerBySudo } from '../source/caller.ts';
import { UsageError } from './usage.ts';

/** Who called it by sudo; null: nobody but root. Throws UsageError where that is not said. */
export function caller(): Caller | null {
  const found = callerBySudo(process.env);
  if (found === undefined)
    throw new UsageError(
      'SUDO_UID and SUDO_GID do not say who called sudo, who is to have all that needs no root: unset them to be root',
    );
  return found;
}

/** What only reads files is, under sudo too, who called it; but reads what root may. */
export function onlyRead(): void {
  const found = caller();
  if (found) becomeAndRead(found);
}
