// SPDX-License-Identifier: Apache-2.0

import { big64, string } from './attributes.ts';
import { opsOf } from './decode.ts';
import type { Op } from './op.ts';

const HANDLE = 3;
const EXPRESSIONS = 4;
const USERDATA = 7;
const HEADER = 4;
/** What is in it is attributes, or of the network's byte order. */
const FLAGS = 0xc000;

/** What a rule does, and what is told of it. */
export interface Rule {
  readonly handle: string;
  readonly ops: readonly Op[];
  /** Undefined after the last one. */
  op(index: number): Op | undefined;
  /** What its counter says; null: it has none. */
  readonly packets: number | null;
  readonly comment: string;
}

/** A rule as netlink tells of it, decoded only as far as somebody looks: most do not match at their first comparison. */
export class NftRule implements Rule {
  readonly #body: Buffer;
  readonly #family: number;
  readonly #ops: Op[] = [];
  /** Where its expressions go on, and where they end; where its handle and its userdata are. */
  #next = 0;
  #end = 0;
  #handle_at = 0;
  #userdata_at = 0;

  /** `from`: where its attributes begin. */
  constructor(body: Buffer, from: number, family: number) {
    this.#body = body;
    this.#family = family;
    for (let at = from; at + HEADER <= body.length; ) {
      const length = body.readUInt16LE(at);
      if (length < HEADER) break;
      switch (body.readUInt16LE(at + 2) & ~FLAGS) {
        case HANDLE:
          this.#handle_at = at;
          break;
        case EXPRESSIONS:
          this.#next = at + HEADER;
          this.#end = at + length;
          break;
        case USERDATA:
          this.#userdata_at = at;
      }
      at += (length + 3) & ~3;
    }
  }

  get handle(): string {
    return String(big64(this.#valueAt(this.#handle_at)));
  }

  op(index: number): Op | undefined {
    while (this.#ops.length <= index && this.#next + HEADER <= this.#end) {
      const length = this.#body.readUInt16LE(this.#next);
      if (length < HEADER) return undefined;
      const expression = this.#body.subarray(this.#next + HEADER, this.#next + length);
      this.#ops.push(...opsOf(expression, this.#family));
      this.#next += (length + 3) & ~3;
    }
    return this.#ops[index];
  }

  get ops(): readonly Op[] {
    this.op(Number.POSITIVE_INFINITY);
    return this.#ops;
  }

  get packets(): number | null {
    return this.ops.find((op) => op.kind === 'counter')?.packets ?? null;
  }

  /** nft keeps it beside the rule: bytes of a type, a length, and a value. */
  get comment(): string {
    const kept = this.#valueAt(this.#userdata_at);
    for (let at = 0; kept && at + 2 <= kept.length; at += 2 + (kept[at + 1] ?? 0)) {
      if (kept[at] === 0) return string(kept.subarray(at + 2, at + 2 + (kept[at + 1] ?? 0)));
    }
    return '';
  }

  #valueAt(at: number): Buffer | undefined {
    return at === 0
      ? undefined
      : this.#body.subarray(at + HEADER, at + this.#body.readUInt16LE(at));
  }
}
