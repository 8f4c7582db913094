// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { NOWHERE, placeOf } from '../../../src/known/container.ts';

const ID = '4f5e6d7c8b9a'.padEnd(64, '0');
const OUTER = 'ab'.repeat(32);
const UID = '0a1b2c3d-1111-2222-3333-44445555666f';
const SLICE_UID = UID.replaceAll('-', '_');
const STATIC_UID = '0123456789abcdef'.repeat(2);

const container = (runtime: string | null, pod_uid: string | null = null) => ({
  ...{ container: '4f5e6d7c8b9a', container_id: ID, runtime, pod_uid, unit: null },
});
const named = (container: string, runtime: string | null) => ({ ...NOWHERE, container, runtime });

test.each([
  // Docker, with the systemd and the cgroupfs driver, and Docker’s own systemd within.
  [`/system.slice/docker-${ID}.scope`, container('docker')],
  [`/docker/${ID}`, container('docker')],
  [`/docker/${ID}/init.scope`, { ...container('docker'), unit: 'init.scope' }],
  [`/docker/${ID}/system.slice/nginx.service`, { ...container('docker'), unit: 'nginx.service' }],
  // The kubelet with both drivers, pods of each class, static pods.
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SLICE_UID}.slice/cri-containerd-${ID}.scope`,
    container('containerd', UID),
  ],
  [
    `/kubepods.slice/kubepods-pod${SLICE_UID}.slice/crio-${ID}.scope/container`,
    container('cri-o', UID),
  ],
  [`/kubepods/besteffort/pod${UID}/${ID}`, container(null, UID)],
  [`/kubepods/burstable/pod${STATIC_UID}/${ID}`, container(null, STATIC_UID)],
  [
    `/system.slice/containerd.service/kubepods-burstable-pod${SLICE_UID}.slice:cri-containerd:${ID}`,
    container('containerd', UID),
  ],
  [`/kubepods/burstable/pod${UID}`, { ...NOWHERE, pod_uid: UID }],
  // kind: nodes are containers.
  [
    `/docker/${OUTER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${SLICE_UID}.slice/cri-containerd-${ID}.scope`,
    container('containerd', UID),
  ],
  [`/docker/${OUTER}/docker/${ID}`, container('docker')],
  // Podman, as root, as a user, and its monitor, which is outside.
  [`/machine.slice/libpod-${ID}.scope/container`, container('podman')],
  [
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope`,
    container('podman'),
  ],
  [`/libpod_parent/libpod-${ID}`, container('podman')],
  [`/machine.slice/libpod-conmon-${ID}.scope`, { ...NOWHERE, unit: `libpod-conmon-${ID}.scope` }],
  [
    `/kubepods.slice/kubepods-pod${SLICE_UID}.slice/crio-conmon-${ID}.scope`,
    { ...NOWHERE, pod_uid: UID, unit: `crio-conmon-${ID}.scope` },
  ],
  // nerdctl, ECS.
  [`/system.slice/nerdctl-${ID}.scope`, container('containerd')],
  [`/default/${ID}`, container(null)],
  [`/ecs/0123456789abcdef0123456789abcdef/${ID}`, container(null)],
  // LXC, its monitor, and machines of systemd.
  ['/lxc.payload.web/init.scope', { ...named('web', 'lxc'), unit: 'init.scope' }],
  ['/lxc/web', named('web', 'lxc')],
  ['/lxc.monitor.web', NOWHERE],
  ['/machine.slice/systemd-nspawn@web.service/payload', named('web', 'systemd-nspawn')],
  ['/machine.slice/machine-web\\x2d1.scope', named('web-1', null)],
  // Units.
  ['/system.slice/nginx.service', { ...NOWHERE, unit: 'nginx.service' }],
  [
    '/system.slice/system-getty.slice/getty@tty1.service',
    { ...NOWHERE, unit: 'getty@tty1.service' },
  ],
  [
    '/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service',
    { ...NOWHERE, unit: 'shop.service' },
  ],
  ['/user.slice/user-1000.slice/session-3.scope', { ...NOWHERE, unit: 'session-3.scope' }],
  ['/', NOWHERE],
  ['', NOWHERE],
  // No ids: too short, too long, not hexadecimal.
  [`/docker/${ID.slice(1)}`, NOWHERE],
  [`/docker/${ID}0`, NOWHERE],
  ['/kubepods/burstable/podnext', NOWHERE],
])('%s', (path, expected) => {
  expect(placeOf(path)).toEqual(expected);
});
