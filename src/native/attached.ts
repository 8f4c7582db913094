// SPDX-License-Identifier: Apache-2.0

import { loadAddon } from './binding.ts';

interface Addon {
  Attached: { open(path: string): Attached };
}

/** Programs at hooks of the kernel. They go with this process. */
export interface Attached {
  close(): void;
}

/** Attaches every program of an object. Throws where the kernel takes one of them not. */
export function attachAll(path: string): Attached {
  return loadAddon<Addon>().Attached.open(path);
}
