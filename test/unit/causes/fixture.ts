// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CAUSES } from '../../../src/causes/registry.gen.ts';
import type { Finding } from '../../../src/diagnose/finding.ts';
import { Pipeline } from '../../../src/diagnose/pipeline.ts';
import { encodeEvent } from '../../../src/wire/decode.ts';
import type { EnumTable, Header } from '../../../src/wire/types.gen.ts';

/**
 * What a fixture of a cause is: newline-delimited JSON, named fires*.ndjson or quiet*.ndjson.
 * The first line says where the events are from and what of the recording's header they need:
 *
 *     {"about":"Recorded on Linux 6.18. …","header":{"enums":[{"name":"sk_rst_reason","names":{"1":"NO_SOCKET"}}],"sysctls":{}}}
 *
 * `about` begins with `Recorded` or, where the events were changed by hand, with `Edited from FILE`.
 * Every other line is a tcpwhy.v1.Event in protobuf's JSON form: bytes are base64, 64-bit numbers
 * text, zeros left out. Facts come first. tools/cut-fixture.ts cuts fixtures out of recordings.
 * What comes of it stands in NAME.expected.json, as findings without their times.
 */
export interface Fixture {
  about: string;
  header: Header;
  events: Json[];
}

export type Json = { [field: string]: unknown };

export const FOLDER = join(import.meta.dirname, '../../../src/causes');

/** Names of a cause's fixtures that begin with `prefix`, without `.ndjson`. */
export function fixtureNames(id: string, prefix: 'fires' | 'quiet'): string[] {
  return readdirSync(join(FOLDER, id))
    .filter((name) => name.startsWith(prefix) && name.endsWith('.ndjson'))
    .map((name) => name.replace(/\.ndjson$/, ''))
    .sort();
}

export function readFixture(id: string, name: string): Fixture {
  const text = readFileSync(join(FOLDER, id, `${name}.ndjson`), 'utf8');
  const [{ about, header }, ...events] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { about, header: headerWith(header), events };
}

/** A header that knows nothing but what it is given. */
export function headerWith(
  known: { enums?: EnumTable[]; sysctls?: Record<string, string> } = {},
): Header {
  return {
    magic: 'tcpwhy',
    format: 1,
    tcpwhy_version: '0.0.0',
    host: 'host',
    kernel: '6.18.0',
    machine: 'x86_64',
    clock_offset_ns: '0',
    start_ktime_ns: 0,
    tier: 'tracepoints',
    hooks: [],
    enums: [],
    sysctls: {},
    counters: {},
    filters: [],
    netns: 1,
    run: '0',
    part: 1,
    ...known,
  };
}

/** The events as bytes of a stream, in the order given. */
export function streamOf(events: readonly Json[]): Uint8Array {
  return Buffer.concat(events.map(encodeEvent));
}

/** Everything that comes of a stream, benign and unexplained too, as the whole pipeline finds it. */
export function explain(header: Header, stream: Uint8Array): Finding[] {
  const pipeline = new Pipeline(header, CAUSES);
  pipeline.push(stream);
  pipeline.finish();
  return [...pipeline.engine.findings.values()]
    .map(({ finding }) => finding)
    .filter(({ count }) => count > 0);
}
