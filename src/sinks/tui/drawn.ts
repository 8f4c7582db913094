// SPDX-License-Identifier: Apache-2.0

/** What is written between these is shown at once, by terminals that know them. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const HOME_AND_ERASE = '\x1b[H\x1b[J';

/**
 * Rows on a terminal, from its first: of those that are shown next, what changed is written. Ink would make each
 * character of a frame anew, which takes more than ten times as long as all the rest of it.
 */
export class DrawnRows {
  readonly #stdout: NodeJS.WriteStream;
  #rows: readonly string[] = [];
  /** The terminal has not taken yet what was written last. */
  #behind = false;
  /** What it is to show then: the newest, whatever there was between. */
  #next: readonly string[] | null = null;
  #ended = false;

  constructor(stdout: NodeJS.WriteStream) {
    this.#stdout = stdout;
  }

  draw(rows: readonly string[]): void {
    if (this.#behind) {
      this.#next = rows;
      return;
    }
    const changed = rows.flatMap((row, at) =>
      row === this.#rows[at] ? [] : `\x1b[${at + 1}H\x1b[K${row}`,
    );
    const erased = this.#rows.length === 0 ? HOME_AND_ERASE : '';
    this.#rows = rows;
    if (changed.length === 0 || this.#ended) return;
    this.#behind = true;
    this.#stdout.write(BEGIN + erased + changed.join('') + END, () => this.#goOn());
  }

  #goOn(): void {
    const next = this.#next;
    this.#behind = false;
    this.#next = null;
    if (next) this.draw(next);
  }

  /** The terminal may show anything by now: all is written next time. */
  forget(): void {
    this.#rows = [];
  }

  /** All that is shown, written anew. */
  again(): void {
    const rows = this.#next ?? this.#rows;
    this.forget();
    this.draw(rows);
  }

  /** From here on the terminal is somebody else's. */
  end(): void {
    this.#ended = true;
  }
}
