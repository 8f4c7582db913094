// SPDX-License-Identifier: Apache-2.0

/** Where a process runs, as its cgroup says. */
export interface Place {
  /** Its id as container tools shorten it, or its name; null outside of any. */
  container: string | null;
  /** All 64 digits of it, null where it has a name instead. */
  container_id: string | null;
  /** Whose container it is: docker, containerd, cri-o, podman, lxc, systemd-nspawn; null where the cgroup does not say. */
  runtime: string | null;
  /** Of Kubernetes, as its API writes it. */
  pod_uid: string | null;
  /** Of systemd: the innermost service or scope, within the container where there is one. */
  unit: string | null;
}

/** What is known of a container beside its cgroup; what it has no name of is left out. */
export interface ContainerNames {
  container_name?: string;
  pod_name?: string;
  pod_namespace?: string;
}

export const NOWHERE: Place = {
  container: null,
  container_id: null,
  runtime: null,
  pod_uid: null,
  unit: null,
};

/** Whether anything is said of where it is. */
export function isSomewhere({ container, pod_uid, unit }: Place): boolean {
  return container !== null || pod_uid !== null || unit !== null;
}

/** `docker-ID.scope`, `ID`, `kubepods-burstable-podUID.slice:cri-containerd:ID`. */
const WITH_ID = /^(?:(.*)[-:])?([0-9a-f]{64})(?:\.scope)?$/;
/** What watches a container stands beside it. */
const MONITOR = /(^|-)conmon$/;
const RUNTIMES: readonly [prefix: RegExp, runtime: string][] = [
  [/(^|:)cri-containerd$|^nerdctl$/, 'containerd'],
  [/^crio$/, 'cri-o'],
  [/^libpod(-payload)?$/, 'podman'],
  [/^docker$/, 'docker'],
];
/** What a container without a prefix is below. */
const PARENTS: Readonly<Record<string, string>> = { docker: 'docker', libpod_parent: 'podman' };
/** The kubelet writes `_` for `-` in names of slices; the uid of a static pod is a hash without any. */
const POD =
  /(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;
const LXC = /^lxc\.payload\.(.+)$/;
const NSPAWN = /^systemd-nspawn@(.+)\.service$/;
const MACHINE = /^machine-(.+)\.scope$/;
const UNIT = /\.(service|scope|socket|mount|swap)$/;

/**
 * What the path of a cgroup says of the processes in it. Within one container there may be others (Docker in
 * Docker, kind): the innermost is meant.
 */
export function placeOf(path: string): Place {
  let place = NOWHERE;
  let parent = '';
  for (const level of path.split('/')) {
    place = within(place, level, parent);
    parent = level;
  }
  return place;
}

function within(place: Place, level: string, parent: string): Place {
  const { pod_uid } = place;
  const pod = POD.exec(level)?.[1]?.replaceAll('_', '-') ?? null;
  const [, prefix = '', id] = WITH_ID.exec(level) ?? [];
  if (id !== undefined && !MONITOR.test(prefix))
    return {
      container: id.slice(0, 12),
      container_id: id,
      runtime: RUNTIMES.find(([is]) => is.test(prefix))?.[1] ?? PARENTS[parent] ?? null,
      pod_uid: pod ?? pod_uid,
      unit: null,
    };
  if (pod !== null) return { ...NOWHERE, pod_uid: pod };
  const named = containerNamed(level, parent);
  if (named) return { ...NOWHERE, ...named, pod_uid };
  return UNIT.test(level) ? { ...place, unit: level } : place;
}

function containerNamed(
  level: string,
  parent: string,
): Pick<Place, 'container' | 'runtime'> | null {
  const lxc = LXC.exec(level)?.[1] ?? (parent === 'lxc' && level !== '' ? level : null);
  if (lxc !== null) return { container: lxc, runtime: 'lxc' };
  if (parent !== 'machine.slice') return null;
  const nspawn = NSPAWN.exec(level)?.[1];
  if (nspawn !== undefined) return { container: unescaped(nspawn), runtime: 'systemd-nspawn' };
  const machine = MACHINE.exec(level)?.[1];
  return machine === undefined ? null : { container: unescaped(machine), runtime: null };
}

/** As systemd writes what may not stand in the name of a unit: `\x2d`. */
function unescaped(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
