// SPDX-License-Identifier: Apache-2.0
//
// A cause is a folder with everything that belongs to it: this fails where something is missing.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Cause } from '../../../src/causes/define.ts';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { eventFromJson } from '../../../src/wire/decode.ts';
import { FOLDER, fixtureNames, readFixture } from './fixture.ts';

const HEADINGS = [
  'What happened',
  'When tcpwhy says so',
  'What to do',
  'When it is something else',
  'What it cannot know',
];

const folders = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'shared')
  .map(({ name }) => name)
  .sort();

test('every folder is a cause, and the other way round', () => {
  expect(CAUSES.map(({ id }) => id)).toEqual(folders);
});

type Related = Pick<Cause, 'id' | 'supersedes' | 'leadsTo'>;

/** Causes of which each stands before the next, and the last before the first; null where there are none. */
function circleIn(causes: readonly Related[]): string[] | null {
  const after = new Map(
    causes.map(({ id, supersedes = [], leadsTo = [] }) => [id, [...supersedes, ...leadsTo]]),
  );
  const done = new Set<string>();
  const walk = (id: string, path: string[]): string[] | null => {
    if (path.includes(id)) return path.slice(path.indexOf(id));
    if (done.has(id)) return null;
    done.add(id);
    return first(after.get(id) ?? [], (next) => walk(next, [...path, id]));
  };
  return first([...after.keys()], (id) => walk(id, []));
}

function first<From, To>(all: readonly From[], found: (one: From) => To | null): To | null {
  for (const one of all) {
    const is = found(one);
    if (is !== null) return is;
  }
  return null;
}

/** A reset that one end got, and the one that it sent, are two failures: either may be why of the other. */
function withoutResetsOfTheOtherEnd(cause: Pick<Cause, 'id' | 'supersedes' | 'leadsTo'>) {
  const received = cause.id === 'reset-by-peer' || cause.id === 'request-reset';
  return received ? { ...cause, leadsTo: [] } : cause;
}

test('no cause stands before itself, by whatever way', () => {
  expect(circleIn(CAUSES.map(withoutResetsOfTheOtherEnd))).toBeNull();
  const [a, b, c] = [{ id: 'a', supersedes: ['b'] }, { id: 'b', leadsTo: ['c'] }, { id: 'c' }];
  expect(circleIn([a, b, c])).toBeNull();
  expect(circleIn([a, b, { ...c, supersedes: ['b'] }])).toEqual(['b', 'c']);
  expect(circleIn([{ ...c, leadsTo: ['c'] }])).toEqual(['c']);
});

describe.each(folders)('%s', (id) => {
  test('has a page with the headings, in their order', () => {
    expect(missing(id, 'doc.md')).toBe(false);
    const doc = readFileSync(join(FOLDER, id, 'doc.md'), 'utf8');
    expect([...doc.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading)).toEqual(HEADINGS);
    for (const [, , text] of doc.matchAll(/^#+ (.*)$([^#]*)/gm)) expect(text?.trim()).not.toBe('');
  });

  test('names only causes that there are', () => {
    const doc = readFileSync(join(FOLDER, id, 'doc.md'), 'utf8');
    const { supersedes = [], leadsTo = [] } = CAUSES.find((cause) => cause.id === id) ?? {};
    expect(folders).toEqual(expect.arrayContaining([...supersedes, ...leadsTo]));
    const listed = [...doc.matchAll(/^- `([a-z0-9]+(?:-[a-z0-9]+)+)`/gm)].map(([, name]) => name);
    expect(folders).toEqual(expect.arrayContaining(listed));
  });

  test('has fixtures in which it fires and is quiet, and what is expected of each', () => {
    expect(fixtureNames(id, 'fires')).not.toEqual([]);
    expect(fixtureNames(id, 'quiet')).not.toEqual([]);
    for (const name of names(id)) expect(missing(id, `${name}.expected.json`)).toBe(false);
  });

  test('says of each fixture where it is from', () => {
    for (const name of names(id)) {
      const { about } = readFixture(id, name);
      const edited = about.match(/^Edited from (\S+\.ndjson): ./)?.[1];
      if (edited) expect(missing(id, edited)).toBe(false);
      else expect(about).toMatch(/^Recorded on Linux \d+\.\d+\. ./);
    }
  });

  test('has only addresses that nobody owns', () => {
    for (const name of names(id)) {
      for (const event of readFixture(id, name).events) {
        for (const address of addresses(eventFromJson(event).body)) expect(address).toMatch(PUBLIC);
      }
    }
  });
});

/** 10/8, 172.16/12, 127/8, 192.0.2.0/24, 2001:db8::/32, fe80::/10, loopback, multicast, everybody, and none. */
const PUBLIC =
  /^(10\..*|172\.(1[6-9]|2\d|3[01])\..*|127\..*|192\.0\.2\..*|2001:db8:.*|fe80:.*|ff02:.*|::1|255\.255\.255\.255|0\.0\.0\.0|::)$/;

function missing(id: string, file: string): boolean {
  return !existsSync(join(FOLDER, id, file));
}

function names(id: string): string[] {
  return [...fixtureNames(id, 'fires'), ...fixtureNames(id, 'quiet')];
}

/** Of every flow and every shown peer; what is absent has an empty one. */
function addresses(value: unknown): string[] {
  if (!value || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    if (!/^(saddr|daddr|shown_addr)$/.test(name)) return addresses(inner);
    return inner === '' ? [] : [String(inner)];
  });
}
