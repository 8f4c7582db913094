// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BY_SUDO, CALLER } from '../kernel/caller.ts';
import { ROOT, TCPWHY } from '../kernel/tcpwhy.ts';
import { lacks, VICTORIA_LOGS } from './engines.ts';
import { Program } from './process.ts';

/** Commands of the page, what is said of them before, and what they print, `…` for whatever it is; null: not shown. */
interface Block {
  /** `terminal`: it goes on in one of its own; `until`: asked again until it answers so. */
  how: '' | 'terminal' | 'until';
  commands: string;
  before: string;
  prints: string | null;
}

function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let before = '';
  for (const [, text = '', info = '', body = ''] of page.matchAll(
    /([\s\S]*?)^```([a-z ]*)\n([\s\S]*?)^```\n/gm,
  )) {
    const last = blocks.at(-1);
    before = text.trim();
    if (info.startsWith('sh'))
      blocks.push({
        ...{ how: info.slice(3) as Block['how'], commands: body, before },
        prints: null,
      });
    else if (last && before === '') last.prints = body;
    else throw new Error(`printed by which command? ${body}`);
  }
  return blocks;
}

/** What is printed, as a pattern. */
const said = (prints: string) =>
  prints
    .trimEnd()
    .split('…')
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');

const PAGE = readFileSync(join(ROOT, 'docs/fleet.md'), 'utf8');

it('who follows docs/fleet.md sees what it says', async ({ skip }) => {
  const lacking = lacks(VICTORIA_LOGS);
  skip(lacking !== null, lacking ?? '');
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-page-'));
  const [home, bin] = [join(folder, 'home'), join(folder, 'bin')];
  for (const one of [home, bin, join(home, 'go/bin')]) mkdirSync(one, { recursive: true });
  for (const one of [folder, bin]) chmodSync(one, 0o755);
  chownSync(home, CALLER, CALLER);
  symlinkSync(TCPWHY, join(bin, 'tcpwhy'));
  writeFileSync(join(bin, 'sudo'), '#!/bin/sh\nexec env "$@"\n', { mode: 0o755 });

  // With a network and names of networks of its own: the page has those that others may use too.
  const machine = new Program('unshare', [
    ...['--net', '--mount', 'sh', '-ec'],
    'mkdir -p /run/netns; mount -t tmpfs none /run/netns; ip link set lo up; echo up >&2; exec sleep 600',
  ]);
  const terminals: Program[] = [];
  /** What begins with sudo as root, else as somebody. */
  const inside = ({ commands, how }: Block) => [
    ...['--target', `${machine.pid}`, '--net', '--mount', '--'],
    ...(commands.startsWith('sudo ')
      ? ['env', ...Object.entries(BY_SUDO).map((pair) => pair.join('='))]
      : ['setpriv', `--reuid=${CALLER}`, `--regid=${CALLER}`, '--clear-groups']),
    ...['bash', '-ec'],
    `exec 2>&1; cd ${ROOT}; ${how === 'terminal' ? 'exec >&3 2>&3; exec ' : ''}${commands}`,
  ];
  const env = { HOME: home, PATH: `${bin}:${process.env.PATH}` };
  const run = (block: Block) => {
    const { stdout, status } = spawnSync('nsenter', inside(block), {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    return { stdout, status };
  };
  try {
    await machine.says(/up/);
    for (const block of blocksOf(PAGE)) {
      const { how, commands, before, prints } = block;
      const whole = new RegExp(`^${said(prints ?? '')}\n$`);
      if (before.includes('Ctrl-C'))
        for (const one of terminals.splice(0).reverse()) await one.stop('SIGINT');
      if (commands.startsWith('go install ')) {
        expect(built()).toContain(commands.trim());
        copyFileSync(VICTORIA_LOGS, join(home, 'go/bin/victoria-logs'));
      } else if (how === 'terminal') {
        const program = new Program(
          'bash',
          ['-c', 'exec nsenter "$@" 3>&2', '-', ...inside(block)],
          env,
        );
        terminals.push(program);
        await program.says(new RegExp(`(^|\n)${said(prints ?? '')}`));
      } else if (how === 'until') {
        await expect.poll(() => run(block).stdout, { timeout: 30_000 }).toMatch(whole);
      } else if (prints === null) {
        expect({ commands, ...run(block) }).toMatchObject({ stdout: '', status: 0 });
      } else expect(run(block).stdout).toMatch(whole);
    }
    expect(terminals).toEqual([]);
    expect(existsSync(join(home, 'fleet'))).toBe(false);
  } finally {
    for (const one of [...terminals, machine]) await one[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});

/** How `make fleet-test` builds what it tests with. */
function built(): string {
  const makefile = readFileSync(join(ROOT, 'Makefile'), 'utf8');
  return makefile.replaceAll(
    /\$\((\w+)\)/g,
    (name, variable) => new RegExp(`^${variable} := (.*)$`, 'm').exec(makefile)?.[1] ?? name,
  );
}

it('names no file of tools/fleet that there is not, and each query that there is', () => {
  for (const [path] of PAGE.matchAll(/tools\/fleet\/[\w./-]*\w/g))
    expect(existsSync(join(ROOT, path)), path).toBe(true);
  for (const engine of ['clickhouse', 'victorialogs', 'collector'])
    for (const file of readdirSync(join(ROOT, 'tools/fleet', engine)))
      expect(PAGE).toContain(file.replace(/\.logsql$/, ''));
});
