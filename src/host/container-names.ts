// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import type { Container } from '../wire/types.gen.ts';
import { list } from './netns.ts';

/** What a runtime calls a container; empty: it has no such name. */
export type RuntimeNames = Omit<Container, 'container_id'>;

/** Below the file system of the host, and from a container that has the host's processes. */
const ROOTS = ['', '/proc/1/root'];
/** Where runtimes keep what they run, and storage what there is to run. */
const BUNDLES = ['/run/containerd', '/run/k3s/containerd'].map(
  (state) => `${state}/io.containerd.runtime.v2.task`,
);
const STORAGES = ['/run/containers/storage', '/var/lib/containers/storage'];
const DOCKER = '/var/lib/docker/containers';
/** Annotations of a bundle (OCI), by containerd and nerdctl, by CRI-O; labels of Docker for Kubernetes. */
const NAMES = ['io.kubernetes.cri.container-name', 'io.kubernetes.container.name', 'nerdctl/name'];
const PODS = ['io.kubernetes.cri.sandbox-name', 'io.kubernetes.pod.name'];
const NAMESPACES = ['io.kubernetes.cri.sandbox-namespace', 'io.kubernetes.pod.namespace'];

/**
 * What the runtime of a container wrote of it (`id`: 64 digits); null where that is nowhere, or may not be read. Its
 * socket is not asked: whoever may connect to it may run anything.
 */
export function containerNames(id: string, roots: readonly string[] = ROOTS): RuntimeNames | null {
  for (const root of roots) {
    const found = ofBundle(root, id) ?? ofDocker(root, id) ?? ofStorage(root, id);
    if (found) return found;
  }
  return null;
}

function ofBundle(root: string, id: string): RuntimeNames | null {
  const containerd = BUNDLES.flatMap((tasks) =>
    list(root + tasks).map((namespace) => `${tasks}/${namespace}/${id}`),
  );
  const others = containersIn(root).map((containers) => `${containers}/${id}/userdata`);
  for (const bundle of [...containerd, ...others]) {
    const { annotations } = (json(`${root}${bundle}/config.json`) ?? {}) as {
      annotations?: unknown;
    };
    const found = namesIn(annotations, '');
    if (found) return found;
  }
  return null;
}

function ofDocker(root: string, id: string): RuntimeNames | null {
  const read = json(`${root}${DOCKER}/${id}/config.v2.json`) as {
    Name?: unknown;
    Config?: { Labels?: unknown };
  } | null;
  return read && namesIn(read.Config?.Labels, text(read.Name).replace(/^\//, ''));
}

/** Of podman and CRI-O, which have one list of all. */
function ofStorage(root: string, id: string): RuntimeNames | null {
  for (const containers of containersIn(root)) {
    const all = json(`${root}${containers}/containers.json`);
    const one = (Array.isArray(all) ? all : []).find((each) => each?.id === id);
    if (one) return namesIn(null, text(one.names?.[0]));
  }
  return null;
}

/** One for each driver: `overlay-containers`. */
function containersIn(root: string): string[] {
  return STORAGES.flatMap((storage) =>
    list(root + storage)
      .filter((name) => name.endsWith('-containers'))
      .map((name) => `${storage}/${name}`),
  );
}

function namesIn(labels: unknown, called: string): RuntimeNames | null {
  const all = (labels ?? {}) as Record<string, unknown>;
  const first = (keys: readonly string[]) => keys.map((key) => text(all[key])).find(Boolean) ?? '';
  const found = {
    container_name: first(NAMES) || called,
    pod_name: first(PODS),
    pod_namespace: first(NAMESPACES),
  };
  return Object.values(found).some((name) => name !== '') ? found : null;
}

function json(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // It is not there, may not be read, or is just being written.
    return null;
  }
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');
