// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVENT } from '../../../src/wire/messages.ts';
import { type Field, loadProto, readSchema } from '../../../tools/gen-wire/schema.ts';

const repository = join(import.meta.dirname, '../../..');
const schema = readSchema(loadProto(join(repository, 'proto')));
const written = schema.kinds.flatMap(({ name, message }) => (message ? [{ name, message }] : []));

type Plain = { [field: string]: number | string | Plain };

let dir: string;
let stream: Buffer;
let expected: Plain[];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'wire-gen-'));
  const filler = new Filler();
  expected = written.map(({ name, message }) => ({
    ...filler.fill(`r.${name}.event.`, schema.common),
    [name]: filler.fill(`r.${name}.body.`, message.fields),
  }));
  const source = join(dir, 'fill.c');
  const binary = join(dir, 'fill');
  writeFileSync(source, cProgram(filler.assignments));
  execFileSync('cc', ['-Wall', '-Werror', `-I${repository}/bpf/include`, '-o', binary, source]);
  stream = execFileSync(binary);
});

afterAll(() => rmSync(dir, { recursive: true }));

test('protobufjs reads every field of every record', () => {
  const reader = protobuf.Reader.create(stream);
  const events: unknown[] = [];
  while (reader.pos < reader.len) {
    const event = EVENT.decode(reader, reader.uint32());
    events.push(EVENT.toObject(event, { longs: String, bytes: String }));
  }
  expect(events).toEqual(expected);
});

test("protoc and Python's runtime read the same", ({ skip }) => {
  skip(!hasProtoc(), 'needs protobuf-compiler and python3-protobuf');
  const json = execFileSync(join(repository, 'tools/decode-with-protoc.py'), { input: stream });
  const events = json
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events).toEqual(expected);
});

/** Gives every field a value of its own, as C assignments and as what a decoder should say. */
class Filler {
  readonly assignments: string[] = [];
  #last = 0;

  fill(path: string, fields: Field[]): Plain {
    return Object.fromEntries(fields.map((field) => [field.name, this.#field(path, field)]));
  }

  #field(path: string, field: Field): Plain[string] {
    const target = path + field.name;
    this.#last += 1;
    switch (field.kind) {
      case 'fixed32': {
        const value = 0x8000_0000 + this.#last;
        this.assignments.push(`${target} = ${value}u;`);
        return value;
      }
      case 'fixed64': {
        const value = 0x8000_0000_0000_0000n + BigInt(this.#last);
        this.assignments.push(`${target} = ${value}ull;`);
        return String(value);
      }
      case 'bytes': {
        const bytes = Uint8Array.from({ length: field.len }, (_, i) => this.#last + 3 * i);
        this.assignments.push(`memcpy(${target}, (__u8[]){${bytes}}, ${field.len});`);
        return Buffer.from(bytes).toString('base64');
      }
      case 'message':
        return this.fill(`${target}.`, field.message.fields);
    }
  }
}

function cProgram(assignments: string[]): string {
  const records = written.map(({ name }) => {
    const own = assignments.filter((line) => line.includes(`r.${name}.`));
    return `\
	wire_event_${name}_init(&r.${name});
	${own.join('\n\t')}
	fwrite(&r, sizeof(r.${name}), 1, stdout);
`;
  });
  return `\
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#define bpf_probe_read_kernel(to, size, from) memcpy(to, from, size)
#include "wire.gen.h"

int main(void)
{
	union wire_record r;

${records.join('\n')}
	return 0;
}
`;
}

function hasProtoc(): boolean {
  const runs = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
  return runs('protoc', '--version') && runs('/usr/bin/python3', '-c', 'import google.protobuf');
}
