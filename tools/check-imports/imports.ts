// SPDX-License-Identifier: Apache-2.0

import { posix } from 'node:path';
import { parseSync } from 'oxc-parser';

export interface Import {
  /** The importing file, below the repository and without extension. */
  from: string;
  /** The imported file, likewise, or the name of a package. */
  to: string;
  /** Gone once the types are stripped. */
  typeOnly: boolean;
  line: number;
}

export function importsOf(file: string, source: string): Import[] {
  const { module, errors } = parseSync(file, source);
  if (errors[0]) throw new Error(`${file}: ${errors[0].message}`);

  const imported = module.staticImports.map(({ moduleRequest, entries, start }) => ({
    request: moduleRequest.value,
    typeOnly: entries.length > 0 && entries.every(({ isType }) => isType),
    start,
  }));
  const exported = module.staticExports
    .flatMap(({ entries }) => entries)
    .flatMap(({ moduleRequest, isType, start }) =>
      moduleRequest ? [{ request: moduleRequest.value, typeOnly: isType, start }] : [],
    );
  const dynamic = module.dynamicImports.map(({ moduleRequest: { start, end } }) => ({
    request: source.slice(start + 1, end - 1),
    typeOnly: false,
    start,
  }));
  return [...imported, ...exported, ...dynamic].map(({ request, typeOnly, start }) => ({
    from: withoutExtension(file),
    to: resolve(file, request),
    typeOnly,
    line: source.slice(0, start).split('\n').length,
  }));
}

function resolve(file: string, request: string): string {
  if (!request.startsWith('.')) return request;
  return withoutExtension(posix.join(posix.dirname(file), request));
}

const withoutExtension = (path: string) => path.replace(/\.[jt]sx?$/, '');
