// SPDX-License-Identifier: Apache-2.0

import { parsePort } from '../tcp/endpoint.ts';
import { LOGGED, type Logged } from './log-causes.ts';

/** What a log says of one thing, at one port. */
export interface Said {
  rule: Logged;
  /** The newest, without its time. */
  line: string;
  port: number;
  lines: number;
  /** That were left out, as the log itself says. */
  suppressed: number;
}

/** How the lines of dmesg, journalctl -k, syslog and /dev/kmsg begin: all but what the kernel said. */
const BEGINNINGS = [
  /^<\d+>/,
  /^\d+,\d+,\d+,[^;]*;/,
  /^\w+\s*:\w+\s*: (?=\[)/,
  /^(?:\w{3} +\d+ [\d:.]+|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-][\d:]+)?) \S+ kernel: /,
  /^\[[^\]]*\] ?/,
];
const SUPPRESSED = /^\w+: (\d+) callbacks suppressed/;
/** The kernel counts them as an int; what says more is damaged. */
const MOST_LEFT_OUT = 2 ** 31 - 1;

export function said(message: string): { rule: Logged; port: number } | null {
  for (const rule of LOGGED) {
    const found = rule.line.exec(message);
    if (found) return { rule, port: parsePort(found.groups?.port ?? '') ?? 0 };
  }
  return null;
}

/** What a log says, in the order in which it was said last. */
export class Log {
  lines = 0;
  readonly #said = new Map<string, Said>();
  /** The one before a line that says how many were left out. */
  #last: Said | null = null;
  #left_out = 0;

  push(line: string): void {
    this.lines++;
    const message = withoutTime(line.slice(0, MOST_READ)).slice(0, MOST_SHOWN).trimEnd();
    const left_out = Number(SUPPRESSED.exec(message)?.[1] ?? 0);
    if (left_out > 0) {
      this.#left_out += left_out;
      return;
    }
    const known = said(message);
    const one = known && this.#of(known.rule, known.port, message);
    // One limit is for all that the network says: only between two lines of one kind it is known whose they were.
    if (one && this.#last === one && this.#left_out > 0)
      one.suppressed = Math.min(MOST_LEFT_OUT, one.suppressed + this.#left_out);
    this.#left_out = 0;
    if (one) this.#last = one;
  }

  get said(): Said[] {
    return [...this.#said.values()];
  }

  #of(rule: Logged, port: number, line: string): Said {
    const key = `${LOGGED.indexOf(rule)} ${port}`;
    const known = this.#said.get(key);
    const one = known ?? { rule, line, port, lines: 0, suppressed: 0 };
    one.line = line;
    one.lines++;
    this.#said.delete(key);
    this.#said.set(key, one);
    return one;
  }
}

/** The kernel writes no longer ones of what is known here. */
const MOST_READ = 500;
const MOST_SHOWN = 300;

function withoutTime(line: string): string {
  return BEGINNINGS.reduce((text, beginning) => text.replace(beginning, ''), line);
}
