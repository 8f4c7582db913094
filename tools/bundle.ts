// SPDX-License-Identifier: Apache-2.0

import { globSync, rmSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';

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

for (const chunk of globSync('build/tcpwhy-*.js*')) rmSync(chunk);
await build({
  entryPoints: ['src/cli.ts'],
  outdir: 'build',
  entryNames: 'tcpwhy',
  chunkNames: 'tcpwhy-[name]-[hash]',
  bundle: true,
  splitting: true,
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
}).catch(() => {
  process.exitCode = 1;
});
