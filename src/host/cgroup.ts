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

  /** The same of one that was asked for before. */
  known(id: string): string | null {
    return this.#paths.get(id) ?? null;
  }

  /** A cgroup and what it is in, the innermost first: the folder that each has, and the path it is known by. */
  upwards(id: string): { folder: string; path: string }[] {
    const root = this.#root;
    const path = this.path(id);
    if (root === null || path === null) return [];
    const levels = path.split('/').filter((level) => level !== '');
    const paths = levels.map((_, up) => `/${levels.slice(0, levels.length - up).join('/')}`);
    return [...paths, '/'].map((path) => ({ folder: join(root, path), path }));
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

/** Where cgroup2 is mounted; null: nowhere. */
export function cgroup2Root(): string | null {
  return mountOf(({ type }) => type === 'cgroup2');
}

/** Where the freezer of the first version of cgroups is mounted; null: nowhere. */
export function freezerRoot(mounts = MOUNTS): string | null {
  return mountOf(({ type, options }) => type === 'cgroup' && options.includes('freezer'), mounts);
}

const MOUNTS = '/proc/self/mounts';

interface Mount {
  type: string;
  options: readonly string[];
}

function mountOf(is: (mount: Mount) => boolean, mounts = MOUNTS): string | null {
  try {
    for (const line of readFileSync(mounts, 'utf8').split('\n')) {
      const [, place, type = '', options = ''] = line.split(' ');
      if (place !== undefined && is({ type, options: options.split(',') })) return place;
    }
    return null;
  } catch {
    return null;
  }
}
