// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import type { Finding } from '../../../src/diagnose/finding.ts';
import { adviceParts, commandLines } from '../../../src/sinks/advice.ts';
import { EVENT } from '../../../src/wire/messages.ts';
import {
  explain,
  type Fixture,
  fixtureNames,
  type Json,
  readFixture,
  streamOf,
} from './fixture.ts';

const FIXTURES = CAUSES.flatMap(({ id }) =>
  fixtureNames(id, 'fires').map((name) => [`${id}/${name}`, id, name] as const),
);
const READ = new Map(FIXTURES.map(([path, id, name]) => [path, readFixture(id, name)]));

/** A value of the evidence, an address, a call, or a command. */
const CONCRETE = /\d+\.\d+\.\d+\.\d+|2001:db8|fe80::|\w\(\)|`|net\.\w+\./;

test.each(FIXTURES)('%s: every sentence is whole', (_, id, name) => {
  expectWhole(findingsOf(id, name));
});

test.each(FIXTURES)('%s: every advice names an object or a command', (_, id, name) => {
  const findings = findingsOf(id, name);
  expect(findings).not.toEqual([]);
  for (const { advice } of findings) {
    expect(advice).not.toEqual([]);
    for (const line of advice) expect(line).toMatch(CONCRETE);
  }
});

/** What a kernel may not tell. */
const OPTIONAL = [...mayBeAbsent('', EVENT), 'owner', 'device', 'ifindex'];

/** As `field.field`: a message in another that is all zeros where there is none. */
function mayBeAbsent(name: string, { fieldsArray }: typeof EVENT): string[] {
  const all = fieldsArray.flatMap((field): string[] => {
    const { resolvedType } = field.resolve();
    const below = resolvedType ? mayBeAbsent(field.name, resolvedType as typeof EVENT) : [];
    return field.options?.may_be_absent ? [`${name}.${field.name}`, ...below] : below;
  });
  return [...new Set(all)];
}

test.each(FIXTURES)('%s: every sentence is whole where something is not known', (_, id, name) => {
  for (const field of OPTIONAL) expectWhole(findingsOf(id, name, without(field)));
});

/** IPv6 in the place of IPv4: addresses with colons stay addresses, and commands fit them. */
test.each(FIXTURES)('%s: advice fits IPv6', (_, id, name) => {
  const findings = findingsOf(id, name, overIpv6);
  expectWhole(findings);
  const advice = findings.flatMap((finding) => finding.advice).join('\n');
  expect(advice).not.toMatch(/\bip [sd]addr 2001/);
  expect(advice).not.toMatch(/ (get|-s|-d|-c1) \[/);
});

/** What commands in advice begin with, also after a pipe. */
const PROGRAMS =
  'arping|awk|bpftool|cilium|conntrack|ethtool|getent|grep|ip|ip6tables-save|iptables-save|ipvsadm|journalctl|kill|lsns|nft|nsenter|nstat|ping|ps|ss|sysctl|systemctl|tc|tcpdump|tcpwhy|tracepath';
const BEGINS = new RegExp(`^(${PROGRAMS})\\b`);
const UNMARKED = new RegExp(
  `(?<![\\w-])(${PROGRAMS})( -\\w| '|( -\\d)? (add|bpf|causes|delete|get|list|monitor|net\\.|route|rule|show|state|trace|tcp_metrics)\\b)|sport =`,
);
/** What a reader fills in, and what programs themselves write in capitals. */
const CAPITALS = [
  ...['DEV', 'DESTROY', 'ROUTER', 'TABLE', 'NS', 'PID', 'REJECT', 'PREFIX', 'NAME'],
  ...['PREROUTING', 'INPUT', 'ESTABLISHED', 'RELATED', 'ACCEPT'],
];

describe.each(FIXTURES)('%s: commands', (_, id, name) => {
  test('each is marked and whole', () => {
    for (const change of [same, overIpv6, ...OPTIONAL.map(without)]) {
      for (const advice of findingsOf(id, name, change).flatMap((finding) => finding.advice)) {
        expect(advice.split('`').length % 2, advice).toBe(1);
        for (const part of adviceParts(advice)) {
          if ('words' in part) expect(part.words).not.toMatch(UNMARKED);
          else expectCommand(part.command);
        }
      }
    }
  });

  test('hostile names are in none', () => {
    const plain = commandsOf(findingsOf(id, name));
    for (const text of ['`rm -rf ~`', "';reboot;'", '$(reboot)', '-w/etc/x', '`', 'a\n$ reboot']) {
      const findings = findingsOf(id, name, named(text));
      for (const advice of findings.flatMap((finding) => finding.advice))
        expect(advice.split('`').length % 2, advice).toBe(1);
      const commands = commandsOf(findings);
      expect(commands.length).toBe(plain.length);
      for (const command of commands) {
        expectCommand(command);
        expect(command).not.toContain(text);
        expect(command).not.toMatch(/reboot|rm -rf/);
      }
    }
  });
});

test('a shell takes every command', () => {
  const commands = FIXTURES.flatMap(([, id, name]) => [
    ...commandsOf(findingsOf(id, name)),
    ...commandsOf(findingsOf(id, name, overIpv6)),
  ]);
  expect(commands.length).toBeGreaterThan(200);
  for (const command of new Set(commands)) {
    const { stderr } = spawnSync('sh', ['-n', '-c', command], { encoding: 'utf8' });
    expect(stderr).toBe('');
  }
});

function commandsOf(findings: Finding[]): string[] {
  return findings
    .flatMap(({ advice }) => advice.flatMap(adviceParts))
    .flatMap((part) => ('command' in part ? [part.command] : []));
}

function expectCommand(command: string): void {
  for (const part of command.split(/ \| | && /)) expect(part).toMatch(BEGINS);
  const unquoted = command
    .replace(/'[^']*'/g, '')
    .replace(/\$\(lsns [^()]*\)/, '')
    .replaceAll(' && ', ' ');
  expect(unquoted, command).not.toMatch(/[[\]*?{}<>;&~$"'#!()\\]/);
  // Where it is shown there are 80 columns, less what it is indented by.
  const lines = commandLines(command, 72);
  expect(lines.filter((line) => line.length > 72)).toEqual([]);
  const capitals = unquoted.match(/(?<![\w-])[A-Z]{2,}\b/g) ?? [];
  expect(CAPITALS).toEqual(expect.arrayContaining(capitals));
}

/** Every name that a process or an administrator chose is this one. */
function named(text: string): (event: Json) => Json {
  const bytes = Buffer.alloc(16);
  bytes.write(text, 0, 15);
  return (event) =>
    walk(event, (name, value) => {
      if (!['comm', 'device', 'path', 'cgroup_path', 'program', 'module'].includes(name))
        return value;
      if (typeof value !== 'string') return value;
      // What BPF wrote is 16 bytes.
      return /^[\w+/]{22}==$/.test(value) ? bytes.toString('base64') : text;
    });
}

const explained = new Map<string, Finding[]>();

/** Once of the same events: most changes leave most fixtures as they are. */
function findingsOf(id: string, name: string, change: (event: Json) => Json = same): Finding[] {
  const { header, events } = READ.get(`${id}/${name}`) as Fixture;
  const changed = events.map(change);
  const key = `${id}/${name} ${hash('sha1', JSON.stringify(changed))}`;
  const before = explained.get(key);
  if (before) return before;
  const findings = explain(header, streamOf(changed)).filter(({ cause }) => cause === id);
  explained.set(key, findings);
  return findings;
}

function expectWhole(findings: Finding[]): void {
  for (const { summary, advice } of findings) {
    for (const text of [summary, ...advice]) {
      expect(text).not.toMatch(/undefined|null|NaN|\[object/);
      expect(text).not.toMatch(/ {2}|\s$|^\s/);
      expect(text.length).toBeGreaterThan(10);
    }
  }
}

const same = (event: Json) => event;

/** `drop.sock`: of one kind of event; `device`: wherever it is. An owner is empty, not absent. */
function without(field: string): (event: Json) => Json {
  const [kind, inner] = field.split('.');
  const drop = (of: string) => (name: string, value: unknown) =>
    name !== of ? value : of === 'owner' ? {} : undefined;
  if (!inner) return (event) => walk(event, drop(field));
  return (event) =>
    walk(event, (name, value) => (name === kind ? walk(value as Json, drop(inner)) : value));
}

function overIpv6(event: Json): Json {
  return walk(event, (name, value) => {
    if (!/addr$/.test(name) || typeof value !== 'string') return value;
    const bytes = Buffer.from(value, 'base64');
    if (bytes.readUInt16BE(10) !== 0xffff) return value;
    const prefix = bytes.readUInt32BE(12) === 0 ? Buffer.alloc(12) : PREFIX;
    return Buffer.concat([prefix, bytes.subarray(12)]).toString('base64');
  });
}

/** As long as addresses get. */
const PREFIX = Buffer.from('20010db8111122223333fd44', 'hex');

function walk(message: Json, change: (name: string, value: unknown) => unknown): Json {
  const fields = Object.entries(message).flatMap(([name, value]) => {
    const changed = change(name, value);
    if (changed === undefined) return [];
    const deeper = (one: unknown) =>
      one && typeof one === 'object' ? walk(one as Json, change) : one;
    return [[name, Array.isArray(changed) ? changed.map(deeper) : deeper(changed)]];
  });
  return Object.fromEntries(fields);
}
