// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { containerOf } from '../../../src/known/knowledge.ts';

const ID = '4f5e6d7c8b9a'.padEnd(64, '0');

test.each([
  [`/system.slice/docker-${ID}.scope`, '4f5e6d7c8b9a'],
  [`/docker/${ID}`, '4f5e6d7c8b9a'],
  [`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${ID}.scope`, '4f5e6d7c8b9a'],
  [`/docker/${ID}/init.scope`, '4f5e6d7c8b9a'],
  ['/lxc.payload.web/init.scope', 'web'],
  ['/system.slice/nginx.service', null],
  ['/', null],
])('%s', (path, expected) => {
  expect(containerOf(path)).toBe(expected);
});
