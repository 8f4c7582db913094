// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tcpwhy } from './run.ts';
import { Terminal } from './terminal.ts';

const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'host.tcpwhy'), '');

/** Puts a shell's script into the folder. */
function script(shell: string): string {
  const file = join(folder, shell);
  const { status, stdout, stderr } = tcpwhy('completion', shell);
  expect([status, stderr]).toEqual([0, '']);
  writeFileSync(file, stdout);
  return file;
}

/** What is typed, and what the shell makes of it where only one thing is possible. */
const COMPLETED: [string, string][] = [
  ['tcpwhy rec', 'tcpwhy record '],
  ['tcpwhy trace --every', 'tcpwhy trace --every-record '],
  ['tcpwhy replay --fail-on wa', 'tcpwhy replay --fail-on warning '],
  ['tcpwhy trace --cause timewait-o', 'tcpwhy trace --cause timewait-overflow '],
  ['tcpwhy causes timewait-p', 'tcpwhy causes timewait-paws '],
  ['tcpwhy export --to pc', 'tcpwhy export --to pcapng '],
  [`tcpwhy replay ${folder}/ho`, `tcpwhy replay ${folder}/host.tcpwhy `],
  [`tcpwhy record -o ${folder}/ho`, `tcpwhy record -o ${folder}/host.tcpwhy `],
];

/** What begins a shell that has sourced the script, and nothing else of this machine. */
const SHELLS = {
  bash: (file: string) => {
    writeFileSync(join(folder, 'bashrc'), `PS1='$ '\nsource ${file}\n`);
    return `bash --noprofile --rcfile ${folder}/bashrc -i`;
  },
  zsh: (file: string) => {
    const rc = `autoload -U compinit; compinit -D -u; PS1='$ '; source ${file}\n`;
    writeFileSync(join(folder, '.zshrc'), rc);
    return `ZDOTDIR=${folder} zsh --no-globalrcs -i`;
  },
};

describe.each(['bash', 'zsh'] as const)('%s', (shell) => {
  test.skipIf(!has(shell))('completes what is typed', async () => {
    const terminal = new Terminal(SHELLS[shell](script(shell)), 150, 40);
    try {
      await terminal.shows(/^\$ *$/m);
      for (const [index, [typed, whole]] of COMPLETED.entries()) {
        // Behind a word that it has made whole a shell adds a space.
        terminal.keys('-l', typed);
        terminal.keys('Tab');
        terminal.keys('-l', `@${index}`);
        expect(await terminal.shows(new RegExp(`@${index}`))).toContain(`${whole}@${index}`);
        terminal.keys('C-u');
      }
    } finally {
      terminal.close();
    }
  });
});

test.skipIf(!has('fish'))('fish completes what is typed', () => {
  const file = script('fish');
  for (const [typed, whole] of COMPLETED) {
    const asked = `source ${file}; complete -C ${JSON.stringify(typed)}`;
    const lines = execFileSync('fish', ['--no-config', '-c', asked], { encoding: 'utf8' });
    const words = lines.trimEnd().split('\n');
    expect([typed, words.map((line) => line.split('\t')[0])]).toEqual([
      typed,
      [whole.trimEnd().split(' ').at(-1)],
    ]);
  }
});

test('no other shell', () => {
  const { status, stderr } = tcpwhy('completion', 'tcsh');
  expect([status, stderr]).toEqual([2, 'tcpwhy: completion tcsh: bash, zsh, fish\n']);
});
