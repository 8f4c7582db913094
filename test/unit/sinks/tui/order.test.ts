// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { UNICODE } from '../../../../src/sinks/tui/glyphs.ts';
import { type Choice, nextSort, SORTS, visible } from '../../../../src/sinks/tui/order.ts';
import { where, who, why } from '../../../../src/sinks/tui/where.ts';
import { acceptQueue, duplicates, finding, model, paws, view } from './models.ts';

const all: Choice = { filter: '', sort: 'severity', benign: false };
const causes = (choice: Partial<Choice>) =>
  visible(model().findings, { ...all, ...choice }).map((shown) => shown.finding.cause);

describe('order', () => {
  test.each([
    ['severity', ['accept-queue-full', 'synack-wrong-source', 'paws-passive']],
    ['count', ['paws-passive', 'accept-queue-full', 'synack-wrong-source']],
    ['rate', ['paws-passive', 'accept-queue-full', 'synack-wrong-source']],
    ['last seen', ['accept-queue-full', 'synack-wrong-source', 'paws-passive']],
    ['cause', ['accept-queue-full', 'paws-passive', 'synack-wrong-source']],
  ] as const)('by %s', (sort, expected) => {
    expect(causes({ sort })).toEqual(expected);
  });

  test('benign findings come last, and only when asked for', () => {
    expect(causes({ benign: true }).at(-1)).toBe('benign');
  });

  test('s goes round', () => {
    let sort: Choice['sort'] = 'severity';
    const seen = SORTS.map(() => (sort = nextSort(sort)));
    expect(seen).toEqual(['count', 'rate', 'last seen', 'cause', 'severity']);
  });

  test('equals stay where they are, whatever order they come in', () => {
    const same = ['c', 'a', 'b'].map((id) => view({ id }));
    expect(visible(same, all).map((shown) => shown.finding.id)).toEqual(['a', 'b', 'c']);
  });

  test('the given array is left alone', () => {
    const given = Object.freeze([paws, acceptQueue, duplicates]);
    expect(visible(given, { ...all, benign: true })).toHaveLength(3);
  });
});

describe('filter', () => {
  test.each([
    ['MYSQL', ['accept-queue-full']],
    ['172.16.0.13', ['paws-passive']],
    ['curl 8812', ['synack-wrong-source']],
    ['frontend', ['synack-wrong-source']],
    ['curl mysqld', []],
    ['  ', ['accept-queue-full', 'synack-wrong-source', 'paws-passive']],
    ['sshd', []],
  ])('%j', (filter, expected) => {
    expect(causes({ filter })).toEqual(expected);
  });
});

describe('where', () => {
  test('with process and container where they fit', () => {
    expect(where(finding(), 60, UNICODE)).toBe('10.4.26.234:80  curl in frontend-7c9d');
    expect(where(finding(), 20, UNICODE)).toBe('10.4.26.234:80');
    expect(where(finding(), 8, UNICODE)).toBe('….234:80');
    expect(where(acceptQueue.finding, 30, UNICODE)).toBe('10.112.61.163:3269  mysqld');
  });

  test("a container's long id is shortened", () => {
    const container = '4f5e6d7c8b9a'.padEnd(64, '0');
    expect(who(finding({ process: { pid: 1, comm: 'envoy', container } }))).toBe(
      'envoy in 4f5e6d7c8b9a',
    );
  });

  test('the why names the process unless it does already', () => {
    expect(why(finding())).toMatch(/^curl in frontend-7c9d: 10\.4\.26\.234/);
    expect(why(acceptQueue.finding)).toMatch(/^mysqld's accept queue/);
    expect(why(finding({ process: null, summary: '' }))).toBe('Answered from another address');
  });
});
