// SPDX-License-Identifier: Apache-2.0

import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { build, type Metafile, type Plugin } from 'esbuild';

/** Ink can load React's developer tools, which are not installed. */
const noDevtools: Plugin = {
  name: 'no-devtools',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/devtools\.js$/ }, ({ path }) => ({ path, namespace: 'empty' }));
    onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: '' }));
  },
};

/**
 * What a module imports of Node is loaded when that module is, which is when a command first wants it: TLS and HTTP
 * alone are 30 ms and 10 MiB.
 */
const nodeWhenWanted: Plugin = {
  name: 'node-when-wanted',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?[a-z_]+(\/promises)?$/ }, ({ path }) =>
      isBuiltin(path) ? { path: path.replace(/^node:/, ''), namespace: 'node' } : null,
    );
    onLoad({ filter: /.*/, namespace: 'node' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${path}')`,
    }));
  },
};

/** Of several files one may be missing, or not be opened: Node would show a stack of its own, before there is a program. */
const sayingWhatIsMissing: Plugin = {
  name: 'saying-what-is-missing',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === 'entry-point' ? { path, namespace: 'begun' } : null,
    );
    onLoad({ filter: /.*/, namespace: 'begun' }, ({ path }) => ({
      contents: `
        await import('./${path}').catch(({ message }) => {
          process.stderr.write(
            'tcpwhy: cannot read a file of its own: ' + message +
            '\\n  Where that stays so, put tcpwhy here anew, whole, so that who runs it may read it.\\n');
          process.exitCode = 2;
        });`,
      resolveDir: process.cwd(),
    }));
  },
};

/** Node shows the line where something failed. */
const LONGEST_LINE = 200;

// The first two lines are for the CommonJS packages in the bundle, the last one for Ink.
const banner = `\
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
delete process.env.DEV;
`;

/**
 * The program as `tcpwhy.js` in a folder, and its other half as `tcpwhy-reader.js`: with what a command alone needs in
 * files of their own, or as one file each, of which Node reads less: but for names, which stacks of faults have.
 */
export async function bundle(outdir: string, splitting: boolean): Promise<Metafile> {
  for (const chunk of globSync(`${outdir}/tcpwhy-*.js*`)) rmSync(chunk);
  const { metafile } = await build({
    entryPoints: [
      { in: 'src/cli.ts', out: 'tcpwhy' },
      { in: 'src/reader.ts', out: 'tcpwhy-reader' },
    ],
    outdir,
    chunkNames: 'tcpwhy-[name]-[hash]',
    bundle: true,
    splitting,
    minifySyntax: !splitting,
    minifyWhitespace: !splitting,
    lineLimit: splitting ? undefined : LONGEST_LINE,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    jsx: 'automatic',
    loader: { '.md': 'text' },
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins: splitting ? [sayingWhatIsMissing, noDevtools] : [noDevtools, nodeWhenWanted],
    banner: { js: banner },
    legalComments: 'linked',
    logLevel: 'warning',
    metafile: true,
  });
  for (const path of Object.keys(metafile.outputs)) if (path.endsWith('.js')) toAscii(path);
  return metafile;
}

/**
 * What esbuild leaves of other characters stands in tagged templates and regular expressions; one of them, and V8 keeps
 * two bytes of every character of the file.
 */
function toAscii(path: string): void {
  const escaped = readFileSync(path, 'utf8').replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writeFileSync(path, escaped);
}

if (import.meta.main)
  await bundle('build', true).catch(() => {
    process.exitCode = 1;
  });
