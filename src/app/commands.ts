// SPDX-License-Identifier: Apache-2.0

import type { Flags } from './declare.ts';
import {
  AGENT,
  CATALOGUE,
  COMPLETION,
  DEMO,
  DOCTOR,
  EXPLAIN,
  EXPORT,
  LAB,
  RECORD,
  REPLAY,
  REPORT,
  TOP,
  TRACE,
} from './flags.ts';

export interface Declared<F extends Flags = Flags> {
  about: string;
  /** As usage has them, and their help. */
  args?: readonly [string, string];
  flags: F;
}

export const ABOUT =
  'Says why a TCP connection was dropped, reset, or shown another peer’s address.';

const TARGET =
  'only connections with this at either end: 3306, 10.0.0.5, 10.0.0.0/8, 10.0.0.5:3306 or [2001:db8::1]:443; of several, any';

/** Every command by its name, in the order of help. */
export const COMMANDS = {
  top: declared({
    about: 'live screen: causes, findings, evidence and advice',
    args: ['[target...]', TARGET],
    flags: TOP,
  }),
  trace: declared({
    about: 'one shot: prints each finding as it happens, then a verdict',
    args: ['[target...]', TARGET],
    flags: TRACE,
  }),
  record: declared({
    about: 'like trace, every event kept for later',
    args: ['[target...]', TARGET],
    flags: RECORD,
  }),
  agent: declared({
    about: 'watches for months: keeps the newest recordings, and tells findings and counts by OTLP',
    args: ['[target...]', TARGET],
    flags: AGENT,
  }),
  replay: declared({
    about: 'what trace would have printed for a recording',
    args: ['<file|target...>', `recordings, and ${TARGET}`],
    flags: REPLAY,
  }),
  explain: declared({
    about:
      'what the packets of a capture prove: pcap or pcapng, as tcpdump writes them; and what counters and the kernel’s log do',
    args: ['[file|target...]', `captures (- is stdin), and ${TARGET}`],
    flags: EXPLAIN,
  }),
  report: declared({
    about:
      'a post-mortem of recordings, captures, or what many hosts told: Markdown, or a page of its own',
    args: ['[file|target...]', `recordings and captures, and ${TARGET}`],
    flags: REPORT,
  }),
  export: declared({
    about: 'a recording in another format',
    args: ['<file|target...>', `a recording, and ${TARGET}`],
    flags: EXPORT,
  }),
  causes: declared({
    about: 'the catalogue of causes; with an id, its page',
    args: ['[id]', ''],
    flags: CATALOGUE,
  }),
  lab: declared({
    about:
      'makes a failure happen in private network namespaces, and shows what both ends see of it and the verdict; lists the scenarios',
    args: ['[scenario...]', ''],
    flags: LAB,
  }),
  demo: declared({
    about:
      'makes real failures in private network namespaces, and shows them as they are found; without root, a recording of it',
    flags: DEMO,
  }),
  doctor: declared({
    about: 'what this kernel lets tcpwhy see, what it does not, and why',
    flags: DOCTOR,
  }),
  completion: declared({
    about: 'what makes a shell complete commands and options: for bash, zsh or fish',
    args: ['<shell>', ''],
    flags: COMPLETION,
  }),
};

/** Keeps what each command's flags give. */
function declared<F extends Flags>(declared: Declared<F>): Declared<F> {
  return declared;
}
