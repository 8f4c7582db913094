// SPDX-License-Identifier: Apache-2.0

import type { Lab } from '../../src/lab/lab.ts';
import { HOSTS } from '../../src/lab/wiring.ts';
import { nginx } from './nginx.ts';
import { Service } from './service.ts';

export const NEEDS = ['nginx', 'wrk'];

const PORT = 80;
/** Those who measure end in the midst of it: tcpwhy has to be gone by then. */
const LONGER_S = 6 * 3600;

/** nginx under load, as a host is on a good day. */
export class HealthyLoad {
  readonly #lab: Lab;
  readonly #services: Service[];
  readonly #opened_before: number;

  private constructor(lab: Lab, services: Service[], opened_before: number) {
    this.#lab = lab;
    this.#services = services;
    this.#opened_before = opened_before;
  }

  /** Over both families, half of the clients keeping their connections and half not. */
  static async start(lab: Lab): Promise<HealthyLoad> {
    const services = [await nginx(lab, { port: PORT })];
    const before = lab.server.counter('Tcp', 'PassiveOpens');
    for (const url of [`http://${HOSTS[4].server}/`, `http://[${HOSTS[6].server}]/`]) {
      for (const header of ['Connection: keep-alive', 'Connection: close']) {
        const args = ['-t1', '-c8', `-d${LONGER_S}s`, '-H', header, url];
        services.push(new Service(lab.client, ['wrk', ...args]));
      }
    }
    const load = new HealthyLoad(lab, services, before);
    await services[0]?.until(() => load.opened > 500, 'connections');
    return load;
  }

  /** Connections that the server accepted so far. */
  get opened(): number {
    return this.#lab.server.counter('Tcp', 'PassiveOpens') - this.#opened_before;
  }

  /** None of it has ended. */
  get running(): boolean {
    return this.#services.every(({ ended }) => !ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.#services.reverse()) await service.stop();
  }
}
