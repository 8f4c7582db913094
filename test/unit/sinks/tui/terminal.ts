// SPDX-License-Identifier: Apache-2.0

import { PassThrough } from 'node:stream';

const FRAME = '\x1b[?2026h';

/** A terminal made of nothing: what it was told, and in which state that leaves it. */
export class Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly rawModes: boolean[] = [];
  written = '';

  constructor(columns = 80, rows = 24) {
    const input = new PassThrough();
    const output = new PassThrough({ highWaterMark: 4096 });
    output.on('data', (chunk) => {
      this.written += chunk;
    });
    this.stdin = Object.assign(input, {
      isTTY: true,
      ref: () => input,
      unref: () => input,
      setRawMode: (on: boolean) => {
        this.rawModes.push(on);
        return input;
      },
    }) as unknown as NodeJS.ReadStream;
    this.stdout = Object.assign(output, {
      isTTY: true,
      columns,
      rows,
    }) as unknown as NodeJS.WriteStream;
  }

  type(keys: string) {
    (this.stdin as unknown as PassThrough).write(keys);
  }

  resize(columns: number, rows: number) {
    Object.assign(this.stdout, { columns, rows });
    this.stdout.emit('resize');
  }

  get frames(): number {
    return this.written.split(FRAME).length - 1;
  }

  /** Whether a mode is on, after all that was written; what nobody touched is as it was before. */
  private isOn(mode: string, before: boolean): boolean {
    const on = this.written.lastIndexOf(`\x1b[?${mode}h`);
    const off = this.written.lastIndexOf(`\x1b[?${mode}l`);
    return on === off ? before : on > off;
  }

  get state() {
    return {
      alternateScreen: this.isOn('1049', false),
      cursor: this.isOn('25', true),
      bracketedPaste: this.isOn('2004', false),
      raw: this.rawModes.at(-1) ?? false,
    };
  }
}

export const IN_USE = { alternateScreen: true, cursor: false, bracketedPaste: true, raw: true };
export const AS_FOUND = { alternateScreen: false, cursor: true, bracketedPaste: false, raw: false };
