// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CAPABILITIES } from '../../src/host/capabilities.ts';

const has = spawnSync('systemd-analyze', ['--version']).status === 0;

const pathOf = (unit: string) =>
  fileURLToPath(new URL(`../../tools/dist/systemd/${unit}`, import.meta.url));

/** What a unit says, each time. */
function says(unit: string, key: string): string[] {
  const text = readFileSync(pathOf(unit), 'utf8');
  return [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

describe.each(['tcpwhy@.service', 'tcpwhy-agent.service'])('%s', (unit) => {
  /** systemd-analyze counts tenths. */
  it.skipIf(!has)('systemd finds it exposed by 2.0 at the most', () => {
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=20', pathOf(unit)],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/Overall exposure level .*: [0-2]\.\d/);
    expect(status).toBe(0);
  });

  it('is user tcpwhy, and gets no new privileges', () => {
    for (const [key, value] of [
      ['User', 'tcpwhy'],
      ['NoNewPrivileges', 'yes'],
    ] as const)
      expect(says(unit, key)).toEqual([value]);
  });
});

it('the reader has no capability that is not described, and may gain none', () => {
  const [bounding, ambient] = ['CapabilityBoundingSet', 'AmbientCapabilities'].map((key) =>
    says('tcpwhy@.service', key).flatMap((names) => names.split(' ')),
  );
  expect(bounding).toEqual(ambient);
  expect(Object.keys(CAPABILITIES)).toEqual(expect.arrayContaining(bounding ?? ['none']));
});

it('the agent has none, and watches by the socket', () => {
  const unit = 'tcpwhy-agent.service';
  expect(says(unit, 'CapabilityBoundingSet')).toEqual(['']);
  expect(says(unit, 'AmbientCapabilities')).toEqual([]);
  expect(says(unit, 'Requires')).toEqual(['tcpwhy.socket']);
});
