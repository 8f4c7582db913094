// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { awaitReset, dial } from '../../src/lab/connections.ts';
import { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { tcpwhy } from '../cli/run.ts';
import { TCPWHY } from './tcpwhy.ts';

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-readers-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Starts it, and comes back once it watches. */
async function watching(command: string, args: string[]) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stderr: '', exited: once(child, 'exit') };
  child.stderr.on('data', (text) => {
    said.stderr += text;
  });
  await once(child.stdout, 'data');
  return { child, said };
}

function refuse(lab: Lab): void {
  awaitReset(dial(lab, lab.client, { address: HOSTS[4].server, port: 3306 }, 7), 'ECONNREFUSED');
}

async function told({ stdout }: ChildProcess, text: string): Promise<void> {
  for (let all = ''; !all.includes(text); ) all += String(await once(stdout as Readable, 'data'));
}

/** What a recording has, and that it is whole. */
function recorded(file: string) {
  const { stdout, stderr, status } = tcpwhy('replay', file, '--json');
  expect({ stderr, status }).toEqual({ stderr: '', status: 1 });
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '').findings;
}

async function ended(child: ChildProcess, exited: Promise<unknown>): Promise<number | null> {
  await exited;
  return child.exitCode;
}

describe('without a reader of stdout', () => {
  it('a recording goes on to its end, and says so once', async () => {
    const file = join(folder, 'unread.tcpwhy');
    using lab = Lab.open();
    const inode = String(lab.server.inode);
    const args = ['record', '-o', file, '--netns', inode, '--events', '--json'];
    const { child, said } = await watching(TCPWHY, args);
    child.stdout?.destroy();
    refuse(lab);
    while (!said.stderr) await once(child.stderr as Readable, 'data');
    refuse(lab);
    child.kill('SIGINT');
    expect(await ended(child, said.exited)).toBe(1);
    expect(said.stderr).toBe('tcpwhy: nobody reads stdout any more: the recording goes on\n');
    expect(recorded(file)).toEqual({ 'no-listener': 14 });
  });

  it('what records nothing ends, and not as if nothing had been found', async () => {
    using lab = Lab.open();
    const args = ['trace', '--netns', String(lab.server.inode), '--json', '--for', '10m'];
    const { child, said } = await watching(TCPWHY, args);
    child.stdout?.destroy();
    refuse(lab);
    expect(await ended(child, said.exited)).toBe(141);
    expect(said.stderr).toBe('');
  });

  it('one of stderr is not missed', async () => {
    const file = join(folder, 'unheard.tcpwhy');
    using lab = Lab.open();
    const inode = String(lab.server.inode);
    const { child, said } = await watching(TCPWHY, ['record', '-o', file, '--netns', inode]);
    child.stderr?.destroy();
    child.stdout?.destroy();
    refuse(lab);
    child.kill('SIGINT');
    expect(await ended(child, said.exited)).toBe(1);
    expect(recorded(file)).toEqual({ 'no-listener': 7 });
  });
});

describe('a hangup', () => {
  it.each([
    ['nohup', ['nohup', TCPWHY], 14],
    ['without it', [TCPWHY], 7],
  ] as const)('%s', async (name, [command = '', ...first], times) => {
    const file = join(folder, `${name}.tcpwhy`);
    using lab = Lab.open();
    const inode = String(lab.server.inode);
    const args = [...first, 'record', '-o', file, '--netns', inode, '--json'];
    const { child, said } = await watching(command, args);
    refuse(lab);
    child.kill('SIGHUP');
    if (times === 14) {
      await told(child, '"type":"finding"');
      refuse(lab);
      await told(child, '"count":14');
    } else await said.exited;
    child.kill('SIGINT');
    expect(await ended(child, said.exited)).toBe(1);
    expect(recorded(file)).toEqual({ 'no-listener': times });
  });
});

describe('a recording that is deleted while it is written', () => {
  it('is said, and ends the command after its verdict', async () => {
    const file = join(folder, 'deleted.tcpwhy');
    using lab = Lab.open();
    const args = ['record', '-o', file, '--netns', String(lab.server.inode)];
    const { child, said } = await watching(TCPWHY, [...args, '--json']);
    let stdout = '';
    child.stdout?.on('data', (text) => {
      stdout += text;
    });
    refuse(lab);
    rmSync(file);
    expect(await ended(child, said.exited)).toBe(2);
    expect(said.stderr).toBe(
      `tcpwhy: ${file} was deleted while it was written: what was recorded is gone\n`,
    );
    expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '').findings).toEqual({
      'no-listener': 7,
    });
  });
});

describe('what runs as root', () => {
  it('opens no port for debuggers', async () => {
    using lab = Lab.open();
    const args = ['trace', '--netns', String(lab.server.inode), '--json'];
    const { child, said } = await watching(TCPWHY, args);
    child.kill('SIGUSR1');
    refuse(lab);
    await told(child, '"count":7');
    child.kill('SIGINT');
    expect(await ended(child, said.exited)).toBe(1);
    expect(said.stderr).toBe('');
  });
});
