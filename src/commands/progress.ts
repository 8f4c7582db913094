// SPDX-License-Identifier: Apache-2.0

const EVERY_MS = 200;
const BAR_COLUMNS = 24;

/** A line on a terminal that says how far a file was read; nothing where there is no terminal. */
export class Progress {
  readonly #total_bytes: number;
  readonly #terminal: NodeJS.WriteStream | null;
  readonly #began_ms = performance.now();
  #shown_ms = 0;
  #read_bytes = 0;

  constructor(total_bytes: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#total_bytes = total_bytes;
    this.#terminal = stream.isTTY ? stream : null;
    this.#shown_ms = this.#began_ms;
  }

  /** So many bytes more were read. */
  advance(bytes: number): void {
    this.#read_bytes += bytes;
    const now_ms = performance.now();
    if (!this.#terminal || now_ms - this.#shown_ms < EVERY_MS) return;
    this.#shown_ms = now_ms;
    const seconds = (now_ms - this.#began_ms) / 1000;
    this.#terminal.write(`\r${progressText(this.#read_bytes, this.#total_bytes, seconds)}\x1b[K`);
  }

  /** Takes the line away again. */
  end(): void {
    if (this.#terminal && this.#shown_ms > this.#began_ms) this.#terminal.write('\r\x1b[K');
  }
}

/** `[######··················]  25 %, 256 of 1024 MiB, 64 MiB/s, 12 s left` */
export function progressText(read_bytes: number, total_bytes: number, seconds: number): string {
  const done = Math.round(read_bytes / 2 ** 20);
  const rate = read_bytes / seconds;
  const speed = `${Math.round(rate / 2 ** 20)} MiB/s`;
  // What is no regular file has no size.
  if (total_bytes === 0) return `${done} MiB, ${speed}`;
  const part = Math.min(1, read_bytes / total_bytes);
  const full = Math.floor(part * BAR_COLUMNS);
  const bar = '#'.repeat(full).padEnd(BAR_COLUMNS, '·');
  const left_s = Math.ceil((total_bytes - read_bytes) / rate);
  const percent = String(Math.floor(part * 100)).padStart(3);
  const end = part < 1 ? `, ${left_s} s left` : '';
  return `[${bar}] ${percent} %, ${done} of ${Math.round(total_bytes / 2 ** 20)} MiB, ${speed}${end}`;
}
