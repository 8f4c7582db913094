// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { CAPABILITIES } from '../../src/host/capabilities.ts';

const UNIT = fileURLToPath(new URL('../../tools/dist/systemd/tcpwhy@.service', import.meta.url));
const text = readFileSync(UNIT, 'utf8');

const has = spawnSync('systemd-analyze', ['--version']).status === 0;

/** systemd-analyze counts tenths. */
it.skipIf(!has)('systemd finds the unit exposed by 2.0 at the most', () => {
  const { status, stdout } = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--threshold=20', UNIT],
    { encoding: 'utf8' },
  );
  expect(stdout).toMatch(/Overall exposure level .*: [0-2]\.\d/);
  expect(status).toBe(0);
});

it('the unit has no capability that is not described, and may gain none', () => {
  const [bounding, ambient] = ['CapabilityBoundingSet', 'AmbientCapabilities'].map((key) =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1]?.split(' '),
  );
  expect(bounding).toEqual(ambient);
  expect(Object.keys(CAPABILITIES)).toEqual(expect.arrayContaining(bounding ?? ['none']));
});
