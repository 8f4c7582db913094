// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tcpwhy } from './run.ts';
import { Terminal } from './terminal.ts';

/** Why a shell cannot be asked, as the word of a skipped test; tools/setup installs them. */
function missing(shell: string): string | null {
  return spawnSync(shell, ['-c', 'true']).status === 0 ? null : `${shell} is not installed`;
}

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
  ['tcpwhy tr', 'tcpwhy trace '],
  ['tcpwhy rec', 'tcpwhy record '],
  ['tcpwhy trace --every', 'tcpwhy trace --every-record '],
  ['tcpwhy replay --fail-on wa', 'tcpwhy replay --fail-on warning '],
  ['tcpwhy trace --cause timewait-o', 'tcpwhy trace --cause timewait-overflow '],
  ['tcpwhy causes timewait-p', 'tcpwhy causes timewait-paws '],
  ['tcpwhy export --to pc', 'tcpwhy export --to pcapng '],
  [`tcpwhy replay ${folder}/ho`, `tcpwhy replay ${folder}/host.tcpwhy `],
  [`tcpwhy record -o ${folder}/ho`, `tcpwhy record -o ${folder}/host.tcpwhy `],
];

/**
 * What begins a shell that has nothing else of this machine: with the script sourced, or where the shell looks for
 * scripts by itself, as packages have it.
 */
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
  'zsh, which loads it': (file: string) => {
    const own = mkdtempSync(join(folder, 'site-functions-'));
    renameSync(file, join(own, '_tcpwhy'));
    const rc = `fpath=(${own} $fpath); autoload -U compinit; compinit -D -u; PS1='$ '\n`;
    writeFileSync(join(own, '.zshrc'), rc);
    return `ZDOTDIR=${own} zsh --no-globalrcs -i`;
  },
};

describe.each(Object.keys(SHELLS) as (keyof typeof SHELLS)[])('%s', (how) => {
  test('completes what is typed', async ({ skip }) => {
    const shell = how.split(',')[0] ?? '';
    const why = missing(shell) ?? missing('tmux');
    skip(why !== null, why ?? '');
    const terminal = new Terminal(SHELLS[how](script(shell)), 150, 40);
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

test.for<[string, (file: string) => string[]]>([
  ['sourced', (file) => ['--no-config', '-c', `source ${file}; $argv`]],
  [
    'loaded',
    (file) => {
      const own = mkdtempSync(join(folder, 'completions-'));
      renameSync(file, join(own, 'tcpwhy.fish'));
      // fish loads what is for commands that it finds.
      symlinkSync('/bin/true', join(own, 'tcpwhy'));
      return ['--no-config', '-c', `set -p fish_complete_path ${own}; set -p PATH ${own}; $argv`];
    },
  ],
])('fish completes what is typed, %s', ([_, begins], { skip }) => {
  const why = missing('fish');
  skip(why !== null, why ?? '');
  const begin = begins(script('fish'));
  for (const [typed, whole] of COMPLETED) {
    const lines = execFileSync('fish', [...begin, 'complete', '-C', typed], { encoding: 'utf8' });
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
