// SPDX-License-Identifier: Apache-2.0

import type { Address } from '../native/sockets.ts';
import type { Family } from '../tcp/address.ts';
import type { Lab } from './lab.ts';

export interface Options {
  /** How often it shall happen. */
  times: number;
  family: Family;
  /** Whether tcpwhy has told of all of it, for what goes on until it has; not there where nobody asks it meanwhile. */
  isTold?(): boolean;
}

/** What was done, for whoever compares it with what tcpwhy says. */
export interface Made {
  /** The end that the connections have in common. */
  server: Address;
  /** The other ends, one for each time. */
  clients: Address[];
  /** Inode number of the namespace where tcpwhy shall see it. */
  netns: number;
  /** The one finding's `where`, for scenarios that are about that. */
  where?: string;
}

/** A failure that can be made to happen, as its file has it. */
export interface ScenarioEntry {
  /** The cause's id; a variant adds to it: `accept-queue-full/third-ack`. */
  id: string;
  /** The cause that tcpwhy shall name, where it is not that of the id. */
  cause?: string;
  title: string;
  /** Both, unless it says so. */
  families?: readonly Family[];
  /** Other causes that stand beside it: each explains it, or is another part of it. */
  beside?: readonly string[];
  /** Here it is no failure, where its cause mostly is. */
  info?: true;
  /** No socket has a part in it, or only one that no process has any more. */
  ownerless?: true;
  /** Name of the process that tcpwhy shall name, where that is not the lab's own. */
  process?: string;
  /** What the evidence of each finding of the cause has: see `has` of src/lab/conformance.ts. */
  says?(options: Options): Wanted;
  /**
   * A BPF program that shows the balancer's connections as the client's (src/lab/rewriter.ts), or a
   * kernel that lets sockets be destroyed (src/lab/destroying.ts), programs that drop (src/lab/dropping.ts) or
   * refuse as a security module does (src/lab/security.ts),
   * or a kernel that has MPTCP, TCP-MD5, TCP-AO, IPsec or reasons for its resets.
   */
  needs?:
    | 'ao'
    | 'reset_reasons'
    | 'rewriter'
    | 'destroying'
    | 'dropping'
    | 'md5'
    | 'security'
    | 'mptcp'
    | 'xfrm';
  /** The kernel's reason for its drops (enum skb_drop_reason), where nothing else tells what they are. */
  drop_reason?: string;
  /** A name in the BTF of the kernels that show it. */
  knows?: string;
  /** The same, where they show it for IPv6 later. */
  knows_ipv6?: string;
  /** Of the two, the only tier that shows it. */
  tier?: 'tracepoints';
  /** A limit of the whole host is another while it runs. */
  of_host?: true;
  /** No hook tells: tcpwhy looks at each namespace in turn, which takes long where there are hundreds. */
  looked_for?: true;
  /** Connections are reset when its lab ends: the next does not begin before that was told. */
  resets_at_end?: true;
  /** Programs that it runs, besides those of iproute2 and procps. */
  commands?: readonly string[];
  /** What has to be so before: rules, routes, settings. Once in a lab of its own. */
  prepare?(lab: Lab, options: Options): void;
  /** Makes it happen exactly so many times, and leaves nothing open. Again and again if wanted. */
  run(lab: Lab, options: Options): Made;
}

export type Scenario = ScenarioEntry & Required<Pick<ScenarioEntry, 'cause' | 'families'>>;

/** A value, a pattern, or what an object or list has, which may have more. A list is as long as a list, and so is a set, in any order. */
export type Wanted =
  | string
  | number
  | boolean
  | null
  | RegExp
  | Wanted[]
  | ReadonlySet<Wanted>
  | { [name: string]: Wanted };

export const BOTH: readonly Family[] = [4, 6];
