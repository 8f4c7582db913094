// SPDX-License-Identifier: Apache-2.0

const EVERY_MS = 200;
const BAR_COLUMNS = 24;
const CLEAR_LINE = '\r\x1b[K';

/** A line on a terminal that says how far a file was read; nothing where there is no terminal. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #terminal: NodeJS.WriteStream | null;
  readonly #total_bytes: number;
  readonly #began_ms = performance.now();
  #shown_ms = this.#began_ms;
  #read_bytes = 0;
  readonly #clear = () => this.end();

  constructor(total_bytes: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#total_bytes = total_bytes;
    this.#stream = stream;
    this.#terminal = stream.isTTY ? stream : null;
  }

  /** So many bytes more were read. */
  advance(bytes: number): void {
    this.#read_bytes += bytes;
    const now_ms = performance.now();
    if (!this.#terminal || now_ms - this.#shown_ms < EVERY_MS) return;
    // Whoever reads what is written may go away in the middle of it.
    if (this.#shown_ms === this.#began_ms) process.once('exit', this.#clear);
    this.#shown_ms = now_ms;
    const seconds = (now_ms - this.#began_ms) / 1000;
    const text = progressText(this.#read_bytes, this.#total_bytes, seconds);
    this.#terminal.write(CLEAR_LINE + text.slice(0, this.#terminal.columns - 1));
  }

  /** Writes lines of text where the line stood; it comes again below. */
  say(text: string): void {
    if (this.#shown_ms > this.#began_ms) this.#terminal?.write(CLEAR_LINE);
    this.#stream.write(text);
  }

  /** Takes the line away again. */
  end(): void {
    process.off('exit', this.#clear);
    if (this.#shown_ms > this.#began_ms) this.#terminal?.write(CLEAR_LINE);
    this.#shown_ms = this.#began_ms;
  }
}

/** Does what takes a moment, and says so on a terminal until it is done; nothing where there is no terminal. */
export function saying<T>(
  text: string,
  work: () => T,
  stream: NodeJS.WriteStream = process.stderr,
): T {
  if (!stream.isTTY) return work();
  stream.write(text);
  try {
    return work();
  } finally {
    stream.write(CLEAR_LINE);
  }
}

/** `[######··················]  25 %, 256 of 1024 MiB, 64 MiB/s, 12 s left` */
export function progressText(read_bytes: number, total_bytes: number, seconds: number): string {
  const read = mebibytes(read_bytes);
  const rate = read_bytes / seconds;
  const speed = `${mebibytes(rate)} MiB/s`;
  // What is no regular file has no size.
  if (total_bytes === 0) return `${read} MiB, ${speed}`;
  const part = Math.min(1, read_bytes / total_bytes);
  const bar = '#'.repeat(Math.floor(part * BAR_COLUMNS)).padEnd(BAR_COLUMNS, '·');
  const percent = String(Math.floor(part * 100)).padStart(3);
  const left = part < 1 ? `, ${Math.ceil((total_bytes - read_bytes) / rate)} s left` : '';
  return `[${bar}] ${percent} %, ${read} of ${mebibytes(total_bytes)} MiB, ${speed}${left}`;
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
