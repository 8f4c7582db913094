// SPDX-License-Identifier: Apache-2.0

/** Everything that can be lost, by name: how bad, and what it means. */
const LOSSES = {
  records_lost: [
    'info',
    'records that found the perf buffer full, or none on a CPU that had just come online; their occurrences are still counted',
  ],
  records_malformed: ['error', 'samples in the perf buffer that were no records'],
  records_undecodable: ['error', 'records that this version cannot decode'],
  hook_missed: [
    'warning',
    'runs of a BPF program that the kernel skipped because it ran on that CPU already',
  ],
  keys_overflowed: [
    'warning',
    'occurrences that found no room in the table of totals: counted, but not apart',
  ],
  owners_untracked: ['warning', 'sockets whose owner found no room in the table'],
  peers_untracked: [
    'warning',
    'sockets whose shown peer found no room in the table: a collision may be missed',
  ],
  listeners_untracked: ['warning', 'listeners that found no room in the table'],
  netns_refused: [
    'warning',
    'times that a network namespace could not be entered: its sockets from before, its devices and its rules are not known',
  ],
  host_refused: [
    'warning',
    'times that a rule, a program or a process was asked for and may not be known to this process: tcpwhy doctor names the capability that it lacks',
  ],
  keys_untold: [
    'warning',
    'occurrences of which no record came through: counted, but in no finding',
  ],
  keys_forgotten: [
    'warning',
    'of more than a million that were counted, keys that found no room: of these only records are counted',
  ],
  findings_merged: [
    'warning',
    'occurrences told of under another subject: there were too many to keep apart',
  ],
  filter_undecided: [
    'warning',
    'occurrences without a record of their own, counted together with connections that are not asked for: whose they were is not known',
  ],
  recording_write_failed: [
    'error',
    'events that could not be written to the recording: its disk was full or failed',
  ],
  recording_damaged: [
    'warning',
    'bytes of the recording of which some are not as they were written',
  ],
  recording_cut_off: [
    'warning',
    'the recording does not end well: it was cut off, or is still being written',
  ],
  losses_unknown: [
    'warning',
    'what was lost by names that are not known to this version, beyond 64',
  ],
  capture_dropped: ['warning', 'packets that whoever captured had no room for'],
  capture_damaged: ['warning', 'bytes of the capture that are not as they were written'],
  capture_cut_off: [
    'warning',
    'the capture ends within a packet: it was cut off, or is still being written',
  ],
  capture_headers_cut: [
    'warning',
    'packets whose headers were not captured whole, or without their time',
  ],
  capture_fragments: ['warning', 'fragments of packets, which are not put together'],
  capture_unknown_link: ['error', 'packets of a kind of link that is not read'],
} as const satisfies Record<string, readonly ['info' | 'warning' | 'error', string]>;

type LossName = keyof typeof LOSSES;

/** Of what this version does not know: a file may name as many as it likes. */
const MOST_UNKNOWN = 64;
const LONGEST_NAME = 64;
const UNKNOWN: LossName = 'losses_unknown';

const isKnown = (name: string): name is LossName => Object.hasOwn(LOSSES, name);

/** What was lost so far, by name. */
export class Losses {
  readonly #counts = new Map<string, number>();
  #unknown = 0;

  add(name: string, count: number): void {
    if (count <= 0) return;
    const kept = this.#isKept(name) ? name : UNKNOWN;
    this.#counts.set(kept, (this.#counts.get(kept) ?? 0) + count);
  }

  #isKept(name: string): boolean {
    if (isKnown(name) || this.#counts.has(name)) return true;
    if (name.length > LONGEST_NAME || this.#unknown >= MOST_UNKNOWN) return false;
    this.#unknown++;
    return true;
  }

  rows(): { name: string; severity: string; count: number; meaning: string }[] {
    return [...this.#counts].map(([name, count]) => {
      const [severity, meaning] = isKnown(name)
        ? LOSSES[name]
        : ['warning', 'not known to this version'];
      return { name, severity, count, meaning };
    });
  }

  /** Records that are gone: what `lost` in the summary says. */
  get records(): number {
    return ['records_lost', 'records_malformed', 'records_undecodable']
      .map((name) => this.#counts.get(name) ?? 0)
      .reduce((sum, count) => sum + count, 0);
  }
}
