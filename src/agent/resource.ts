// SPDX-License-Identifier: Apache-2.0

import type { ContainerNames, Place } from '../known/container.ts';
import { VERSION } from '../version.ts';
import { pairs } from './endpoint.ts';
import type { Resource } from './otlp.ts';

type Attributes = Readonly<Record<string, string>>;

/** Whose finding it is, as collectors look at it: this host, and its container. */
export class Resources {
  readonly host_id: string;
  readonly host: Resource;
  readonly #attributes: Attributes;
  /** The same container the same object: records of one go together. */
  readonly #containers = new Map<string, Resource>();

  /** `host`: its name, `own_id`: its id; empty: it is to have none. Throws SettingError. */
  constructor(host: string, env: NodeJS.ProcessEnv, own_id: string) {
    const given = pairs('OTEL_RESOURCE_ATTRIBUTES', env.OTEL_RESOURCE_ATTRIBUTES);
    this.#attributes = {
      'service.name': env.OTEL_SERVICE_NAME || 'tcpwhy',
      'service.version': VERSION,
      ...(host !== '' && { 'host.name': host }),
      ...(own_id !== '' && { 'host.id': own_id }),
      'os.type': 'linux',
      ...given,
      ...(env.OTEL_SERVICE_NAME && { 'service.name': env.OTEL_SERVICE_NAME }),
    };
    this.host_id = this.#attributes['host.id'] ?? host;
    this.host = resourceOf(this.#attributes);
  }

  of(place: Pick<Place, 'container_id' | 'pod_uid'> & ContainerNames): Resource {
    const { container_id, pod_uid, container_name, pod_name, pod_namespace } = place;
    if (container_id === null && pod_uid === null) return this.host;
    const id = `${container_id} ${pod_uid} ${container_name}`;
    let known = this.#containers.get(id);
    if (!known) {
      if (this.#containers.size >= MOST_CONTAINERS) this.#containers.clear();
      known = resourceOf({
        ...this.#attributes,
        ...(container_id !== null && { 'container.id': container_id }),
        ...(container_name && { 'container.name': container_name }),
        ...(pod_uid !== null && { 'k8s.pod.uid': pod_uid }),
        ...(pod_name && { 'k8s.pod.name': pod_name }),
        ...(pod_name && container_name && { 'k8s.container.name': container_name }),
        ...(pod_namespace && { 'k8s.namespace.name': pod_namespace }),
      });
      this.#containers.set(id, known);
    }
    return known;
  }
}

const MOST_CONTAINERS = 1000;

/** What a serializer looks at. */
function resourceOf(attributes: Attributes): Resource {
  return { attributes } as unknown as Resource;
}
