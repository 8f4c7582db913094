// SPDX-License-Identifier: Apache-2.0

import { presentFunctions } from '../host/symbols.ts';
import { run } from './netns.ts';

/** Why sockets cannot be destroyed here, or null. */
export function destroyingLacks(): string | null {
  // The first question of its kind loads tcp_diag, where that is a module.
  run('ss', ['-tnH']);
  const able = presentFunctions(['tcp_diag_destroy']).size > 0;
  return able ? null : 'a kernel with CONFIG_INET_DIAG_DESTROY';
}
