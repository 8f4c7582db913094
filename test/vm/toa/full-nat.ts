// SPDX-License-Identifier: Apache-2.0

import { accept, listen, type Pair, shareFrom } from '../../../src/lab/connections.ts';
import type { Lab } from '../../../src/lab/lab.ts';
import type { Netns } from '../../../src/lab/netns.ts';
import { frame, parseFrame } from '../../../src/lab/segment.ts';
import { HOSTS, plug } from '../../../src/lab/wiring.ts';
import { type Address, must, POLLIN, type Socket } from '../../../src/native/sockets.ts';
import { TCP_FLAG } from '../../../src/tcp/flags.ts';

const { client: CLIENT, server: SERVER, vip: VIP, balancer: BALANCER } = HOSTS[4];
const REAL: Address = { address: SERVER, port: 3269 };
const VIRTUAL: Address = { address: VIP, port: 3306 };
const MACS = { from: '02:00:00:00:01:34', to: '02:00:00:00:01:45' } as const;
const ETH_P_IP = 0x0800;
const SYN_ACK = TCP_FLAG.syn | TCP_FLAG.ack;
const PATIENCE_MS = 2000;

/** Connections that a client has with one server on two ways, each pair of them from one port. */
export interface TwoWays {
  direct: Pair[];
  balanced: Pair[];
}

/**
 * A host between the client and the server that has the virtual address, and as LVS with FullNAT
 * makes connections to it into ones of its own with the real server.
 */
export class FullNat {
  readonly #lab: Lab;
  readonly #netns: Netns;
  readonly #ports: number[];
  /** Sequence numbers that the direct connections go on with, by the client's port. */
  readonly #next = new Map<number, number>();

  constructor(lab: Lab, times: number) {
    this.#lab = lab;
    this.#netns = lab.netns('balancer');
    this.#ports = lab.ports(times);
    const { client, server } = lab;
    client.ip(`addr del ${BALANCER}/32 dev c0`);
    plug(
      { netns: client, device: 'c1', mac: MACS.to },
      { netns: this.#netns, device: 'b0', mac: MACS.from },
    );
    plug(
      { netns: server, device: 's1', mac: '02:00:00:00:02:11' },
      { netns: this.#netns, device: 'b1', mac: '02:00:00:00:02:34' },
    );
    this.#netns.ip(
      'link set lo up',
      `addr add ${VIP}/32 dev b0`,
      `addr add ${BALANCER}/32 dev b1`,
      `route add ${CLIENT} dev b0`,
      `route add ${SERVER} dev b1`,
    );
    this.#netns.sysctl({ 'net.ipv4.ip_forward': 1 });
    client.ip(`route add ${VIP} dev c1 src ${CLIENT}`);
    server.ip(`route replace ${BALANCER} dev s1 src ${SERVER}`);
    this.#netns.exec(
      'nft',
      ['-f', '-'],
      `
      table ip full_nat {
        chain to_real { type nat hook prerouting priority -100; ip daddr ${VIP} tcp dport ${VIRTUAL.port} dnat to ${REAL.address}:${REAL.port}; }
        chain from_local { type nat hook postrouting priority 100; ip daddr ${SERVER} tcp dport ${REAL.port} snat to ${BALANCER}:20000-29999; }
      }`,
    );
  }

  /** First all the direct ones; `between` comes before the others. The listener is closed. */
  connect(between: () => void): TwoWays {
    using listener = listen(this.#lab, 4, REAL.port, 2 * this.#ports.length);
    using ear = this.#lab.socket(this.#lab.client, { type: 'packet', protocol: ETH_P_IP });
    const direct = this.#reach(listener, REAL);
    this.#hear(ear);
    between();
    return { direct, balanced: this.#reach(listener, VIRTUAL) };
  }

  /** The real server's ends of what it has with the client and with the balancer, as ss shows them. */
  truePeers(): { direct: string[]; balanced: string[] } {
    const filter = `src ${SERVER} and sport = :${REAL.port}`;
    const lines = this.#lab.server.exec('ss', ['-Htn', 'state', 'established', filter]);
    const peers = lines.split('\n').flatMap((line) => line.trim().split(/\s+/)[3] ?? []);
    const of = (address: string) => peers.filter((peer) => peer.startsWith(`${address}:`)).sort();
    return { direct: of(CLIENT), balanced: of(BALANCER) };
  }

  /** From the virtual address comes the reset of each direct connection. */
  answerCrossed(): void {
    using mouth = this.#lab.socket(this.#netns, { type: 'packet' });
    for (const [dport, seq] of this.#next) {
      const segment = { sport: VIRTUAL.port, dport, flags: TCP_FLAG.rst, seq };
      const rest = { ack: 0, window: 0, payload: Buffer.alloc(0) };
      const bytes = frame(VIP, CLIENT, { ...rest, ...segment }, MACS);
      must(mouth.sendPacket('b0', bytes), 'sendPacket');
    }
  }

  #reach(listener: Socket, to: Address): Pair[] {
    const { client } = this.#lab;
    const clients = this.#ports.map((port) =>
      shareFrom(this.#lab, client, { address: CLIENT, port }, to),
    );
    return accept(listener, clients);
  }

  /** What the real server answered to the SYNs. */
  #hear(ear: Socket): void {
    const end = performance.now() + PATIENCE_MS;
    while (this.#next.size < this.#ports.length) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`heard ${this.#next.size} of ${this.#ports.length} answers`);
      if (!(ear.poll(POLLIN, Math.ceil(left)) & POLLIN)) continue;
      const segment = parseFrame(must(ear.recv()).data, CLIENT);
      if (segment?.flags === SYN_ACK) this.#next.set(segment.dport, (segment.seq + 1) >>> 0);
    }
  }
}
