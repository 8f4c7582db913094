// SPDX-License-Identifier: Apache-2.0

import { globSync, rmSync } from 'node:fs';
import { build, type Metafile, type Plugin } from 'esbuild';

/** Ink can load React's developer tools, which are not installed. */
const noDevtools: Plugin = {
  name: 'no-devtools',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/devtools\.js$/ }, ({ path }) => ({ path, namespace: 'empty' }));
    onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: '' }));
  },
};

// The first two lines are for the CommonJS packages in the bundle, the last one for Ink.
const banner = `\
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
delete process.env.DEV;
`;

/** The program as `tcpwhy.js` in a folder: with what a command alone needs in a file of its own, or as one file. */
export async function bundle(outdir: string, splitting: boolean): Promise<Metafile> {
  for (const chunk of globSync(`${outdir}/tcpwhy-*.js*`)) rmSync(chunk);
  const { metafile } = await build({
    entryPoints: ['src/cli.ts'],
    outdir,
    entryNames: 'tcpwhy',
    chunkNames: 'tcpwhy-[name]-[hash]',
    bundle: true,
    splitting,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    jsx: 'automatic',
    loader: { '.md': 'text' },
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins: [noDevtools],
    banner: { js: banner },
    legalComments: 'linked',
    logLevel: 'warning',
    metafile: true,
  });
  return metafile;
}

if (import.meta.main)
  await bundle('build', true).catch(() => {
    process.exitCode = 1;
  });
