// SPDX-License-Identifier: Apache-2.0

import type { Header } from '../wire/types.gen.ts';
import type { Cause } from './define.ts';

/** Those that what was watched does not tell of: they need a fact that no hook shows there, or more than packets. */
export function notObservable<C extends Pick<Cause, 'needs' | 'packets'>>(
  { hooks, tier }: Pick<Header, 'hooks' | 'tier'>,
  causes: readonly C[],
): C[] {
  if (tier === 'packets') return causes.filter(({ packets }) => !packets);
  const missing = new Set(hooks.filter(({ hook }) => hook === '').map(({ fact }) => fact));
  return causes.filter(({ needs }) => needs.some((fact) => missing.has(fact)));
}
