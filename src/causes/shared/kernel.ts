// SPDX-License-Identifier: Apache-2.0

import type { Names } from '../../known/knowledge.ts';

/** The kernel functions on a stack, innermost first; those without a name are left out. */
export function callers(stack: readonly string[], known: Names): string[] {
  return stack.flatMap((address) => known.symbol(address)?.name ?? []);
}

/** The kernel function at an address, without what compilers add to its name. */
export function functionName(location: string, known: Names): string {
  return functionOf(known.symbol(location)?.name);
}

/** The same of its symbol. */
export function functionOf(symbol = ''): string {
  const added = symbol.indexOf('.');
  return added < 0 ? symbol : symbol.slice(0, added);
}

/** What kernels say that give no reason: before 6.10 of any reset, before 6.12 of active ones. */
export const NO_REASON = 'NOT_SPECIFIED';

/** What frees a segment that a half-open connection refuses, where the kernel gives no reason for it. */
export function isRequestFunction(name: string | undefined): boolean {
  // Compilers add to the names of functions that they change.
  return /^tcp_v[46]_rcv(\.|$)/.test(name ?? '');
}
