// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What timers and interrupts do to a connection passes one of these. */
const EVENTS = [
  'sock/inet_sock_set_state',
  'tcp/tcp_retransmit_skb',
  'skb/kfree_skb',
  'net/net_dev_queue',
  'net/netif_receive_skb',
];

/**
 * Counts by ftrace what the network stack does while process 1 is on a CPU: on some kernels no program of BPF
 * runs then (docs/hooks.md), so that nothing that is made of BPF can see it.
 */
export class Unseen {
  readonly #mount: string;
  #instance: string | null = null;

  private constructor(mount: string) {
    this.#mount = mount;
  }

  /** Null where the kernel has no such events, or does not let them be traced. */
  static watch(pid = 1): Unseen | null {
    const mount = mkdtempSync(join(tmpdir(), 'tcpwhy-tracefs-'));
    if (spawnSync('mount', ['-t', 'tracefs', 'none', mount]).status !== 0) {
      rmdirSync(mount);
      return null;
    }
    const unseen = new Unseen(mount);
    try {
      unseen.#enable(pid);
      return unseen;
    } catch {
      unseen.stop();
      return null;
    }
  }

  #enable(pid: number): void {
    const instance = mkdtempSync(join(this.#mount, 'instances/tcpwhy-tests-'));
    this.#instance = instance;
    writeFileSync(join(instance, 'options/event-fork'), '1');
    writeFileSync(join(instance, 'set_event_pid'), readdirSync(`/proc/${pid}/task`).join(' '));
    for (const event of EVENTS) writeFileSync(join(instance, 'events', event, 'enable'), '1');
  }

  /** How many events there were since the start. */
  count(): number {
    const lines = readFileSync(join(this.#instance ?? '', 'trace'), 'utf8')
      .trimEnd()
      .split('\n');
    return lines.filter((line) => !line.startsWith('#')).length;
  }

  stop(): void {
    if (this.#instance) rmdirSync(this.#instance);
    spawnSync('umount', [this.#mount]);
    rmdirSync(this.#mount);
  }
}
