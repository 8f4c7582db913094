// SPDX-License-Identifier: Apache-2.0

import type { Basis, Evidence, Severity, Subject } from '../causes/define.ts';
import type { ContainerNames, Place } from '../known/container.ts';
import type { ManyText } from './many.ts';

/** Written as on the wire of the packet or socket: saddr:sport is a socket's local end. */
export interface FlowText {
  family: 4 | 6;
  saddr: string;
  sport: number;
  daddr: string;
  dport: number;
  /** Inode number of the network namespace. */
  netns: number;
}

export interface ProcessText {
  pid: number;
  comm: string;
  /** Container id or name, null outside of any. */
  container: string | null;
}

/** Who is at an end of a connection, where that is on this host. */
export interface EndText extends Place, ContainerNames {
  addr: string;
  port: number;
  /** Inode number of its network namespace. */
  netns: number;
  /** As `ip netns` has it, null where it has no name there. */
  netns_name: string | null;
  /** Null where the process is not known. */
  pid: number | null;
  comm: string | null;
}

/** Another finding, of a cause that met the same connection before. */
export interface Because {
  cause: string;
  where: string;
}

/** A cause that matched on one subject, with everything it needs to be read alone (docs/json.md). */
export interface Finding {
  /** Identity of (cause, subject): the same finding keeps it while its count grows. */
  id: string;
  cause: string;
  /** What this one comes of, where that was seen too: its severity is `info` then. */
  because: Because | null;
  /** Of how many subjects it tells, where these were too many to be told of one by one. */
  many?: ManyText;
  severity: Severity;
  basis: Basis;
  title: string;
  summary: string;
  subject: Subject;
  /** The subject in a few words: a listener's end, the service of a connection, an interface. */
  where: string;
  flow: FlowText;
  process: ProcessText | null;
  /** Those of the flow that are on this host, where it is known who is there, or where that is. */
  ends?: EndText[];
  /** Occurrences, exact also where events were sampled. */
  count: number;
  /** Wall clock in nanoseconds since 1970. */
  first_ns: number;
  last_ns: number;
  evidence: Evidence;
  advice: string[];
  /** Numbers (SEQ) of the newest events that it rests on, oldest first. */
  events: number[];
}
