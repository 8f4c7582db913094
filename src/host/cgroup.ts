// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of cgroups by their identity, the inode number of their folder in cgroup2. */
export class Cgroups {
  readonly #root = cgroup2Root();
  readonly #paths = new Map<string, string>();

  /** `/system.slice/nginx.service`, null where it is gone or cgroup2 is not mounted. */
  path(id: string): string | null {
    if (!this.#paths.has(id)) this.#scan();
    return this.#paths.get(id) ?? null;
  }

  /** Every cgroup, as the folder it has and the path it is known by. */
  all(): { folder: string; path: string }[] {
    this.#scan();
    return [...this.#paths.values()].map((path) => ({
      folder: join(this.#root ?? '/', path),
      path,
    }));
  }

  #scan(): void {
    if (this.#root === null) return;
    const root = this.#root;
    this.#paths.clear();
    const visit = (path: string): void => {
      const folder = join(root, path);
      try {
        this.#paths.set(String(statSync(folder, { bigint: true }).ino), path);
        for (const entry of readdirSync(folder, { withFileTypes: true })) {
          if (entry.isDirectory()) visit(join(path, entry.name));
        }
      } catch {
        // Gone meanwhile.
      }
    };
    visit('/');
  }
}

function cgroup2Root(): string | null {
  try {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    return (
      mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1] ?? null
    );
  } catch {
    return null;
  }
}
