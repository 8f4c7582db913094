// SPDX-License-Identifier: Apache-2.0

import type { RuntimeNames } from '../host/container-names.ts';
import { placeOf } from '../known/container.ts';

const MOST_TOLD = 4096;
const NOTHING: never[] = [];

/** What the containers are called that cgroups are of. */
export class ContainerFacts {
  readonly #namesOf: (id: string) => RuntimeNames | null;
  readonly #told = new Set<string>();

  /** `namesOf`: null where nobody knows. */
  constructor(namesOf: (id: string) => RuntimeNames | null) {
    this.#namesOf = namesOf;
  }

  /** Of the container that the path of a cgroup is of, once. */
  of(path: string): { container: object }[] {
    const { container_id } = placeOf(path);
    if (container_id === null || this.#told.has(container_id)) return NOTHING;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(container_id);
    const names = this.#namesOf(container_id);
    return names ? [{ container: { container_id, ...names } }] : NOTHING;
  }

  /** Everything is told again. */
  forget(): void {
    this.#told.clear();
  }
}
