// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type protobuf from 'protobufjs/light.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { FORMATS } from '../../src/app/exporters.ts';
import { postMortem } from '../../src/app/post-mortem.ts';
import { Run } from '../../src/app/run.ts';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import type { Finding } from '../../src/diagnose/finding.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { adviceParts } from '../../src/sinks/advice.ts';
import { reportHtml } from '../../src/sinks/report-html/page.ts';
import { reportMarkdown } from '../../src/sinks/report-md/page.ts';
import { encodeHeader } from '../../src/wire/decode.ts';
import { EVENT } from '../../src/wire/messages.ts';
import type { Header } from '../../src/wire/types.gen.ts';
import { misfit } from '../schema.ts';
import { fixtureNames, type Json, readFixture, streamOf } from '../unit/causes/fixture.ts';

vi.setConfig({ testTimeout: 300_000 });

/** Fields that somebody named, and texts that tcpwhy writes, which hold anything in a recording that others wrote. */
const NAMED = new Set([
  ...['comm', 'device', 'tracer', 'table', 'chain', 'text', 'path', 'container_name', 'pod_name'],
  ...[
    'pod_namespace',
    'netns_name',
    'cgroup_path',
    'pins',
    'program',
    'line',
    'end',
    'ends',
    'address',
    'by',
    'mac',
    'mac_before',
    'route_type',
    'halted',
    'history',
    'parent',
    'prefix',
    'reserved_ports',
    'rule',
    'state',
    'waits_in',
    'module',
    'actions',
    'limits',
    'remote',
    'counter',
    'container_id',
    'handle',
    'family',
    'reason',
  ],
]);

const MARK = 'pwned';
/** What they are called: of 16 bytes, and at any length. */
const NAMES: Record<string, [Buffer, string]> = {
  'what a shell, a spreadsheet or a page runs': [
    Buffer.from(`=\`$(${MARK})|<;`),
    `=${MARK}("a",1)|A!1,"'\`$(${MARK})\`; </td><${MARK} onload="'>&lt;!--</script>\r\n`,
  ],
  'what a terminal obeys': [
    Buffer.from(`\u001b[2J\u202e${MARK}`),
    `\u001b]0;${MARK}\u0007\u009b31m\u202e${MARK}\u2066\u{e0041}\u200b`,
  ],
  'no text, or long': [
    Buffer.from([0xff, 0xfe, ...Buffer.from(MARK), 0xed, 0xa0, 0x80]),
    `\ud800${`${MARK}|`.repeat(100)}`,
  ],
};

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const FORMULA = /^"?[=+\-@\t\r\n＝＋－＠]/;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-names-'));
const file = join(folder, 'x.tcpwhy');
beforeAll(() => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterAll(() => rmSync(folder, { recursive: true }));

const FIXTURES = CAUSES.flatMap(({ id }) => fixtureNames(id, 'fires').map((name) => [id, name]));

test.each(Object.entries(NAMES))(
  'names that are %s are nothing but text',
  async (_, [short, long]) => {
    const wrong: string[] = [];
    const seen = new Set<string>();
    for (const [cause = '', name = ''] of FIXTURES) {
      const { header, events } = readFixture(cause, name);
      const renamed = events.map((event) => called(EVENT, event, short, long));
      const header_bytes = encodeHeader(headerCalled(header, long));
      writeFileSync(file, Buffer.concat([header_bytes, streamOf(renamed)]));
      const found = await findings();
      if (found.some((one) => one.cause === cause)) seen.add(cause);
      // Outputs know nothing of causes.
      const rest = name === 'fires' ? await inOutputs() : [];
      for (const problem of [...inAdvice(found), ...rest])
        wrong.push(`${cause}/${name}: ${problem}`);
    }
    expect(wrong).toEqual([]);
    // Else it would be of nothing.
    expect(seen.size).toBeGreaterThan(CAUSES.length * 0.8);
  },
);

test.each(['constructor', '__proto__'])('what is called %s is found in no table', async (name) => {
  const lost = { ktime_ns: '1', tick: { lost: [{ name, count: 1 }] } };
  for (const [cause = '', fixture = ''] of FIXTURES.filter(([, name]) => name === 'fires')) {
    const { header, events } = readFixture(cause, fixture);
    const renamed = events.map((event) =>
      called(EVENT, event, Buffer.from(name), name, () => true),
    );
    const header_bytes = encodeHeader(headerCalled(header, name));
    writeFileSync(file, Buffer.concat([header_bytes, streamOf([lost, ...renamed])]));
    await expect(inOutputs(), cause).resolves.toEqual([]);
  }
});

/** The same event with all names in it changed: by what its fields hold. */
function called(
  type: protobuf.Type,
  message: Json,
  short: Buffer,
  long: string,
  isName = (field: string) => NAMED.has(field),
): Json {
  const changed = (field: protobuf.Field, value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((one) => changed(field, one));
    const { resolvedType, type: holds, options } = field.resolve();
    if (resolvedType && 'fieldsArray' in resolvedType)
      return called(resolvedType, value as Json, short, long, isName);
    if (value === '' || !isName(field.name)) return value;
    if (holds === 'string') return long;
    return options?.holds === 'text' ? short.subarray(0, 15).toString('base64') : value;
  };
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      const field = type.fields[name];
      return [name, field && !field.map && value !== null ? changed(field, value) : value];
    }),
  );
}

function headerCalled(header: Header, long: string): Header {
  return {
    ...header,
    host: long,
    kernel: long,
    machine: long,
    tcpwhy_version: long,
    filters: [long],
  };
}

async function findings(): Promise<Finding[]> {
  const recording = await RecordedStream.open(file);
  const run = runOf(recording, true, () => {});
  for await (const { messages } of recording.pieces()) run.push(messages);
  run.finish();
  return [...run.pipeline.engine.findings.values()].map(({ finding }) => finding);
}

function runOf({ header }: RecordedStream, json: boolean, write: (text: string) => void): Run {
  const shown = { json, color: false, quiet: false, events: true, all: true };
  return new Run(header, { ...shown, causes: null, failOn: 'info' }, write);
}

function inAdvice(found: readonly Finding[]): string[] {
  return found
    .flatMap(({ advice }) => advice)
    .filter(
      (line) =>
        line.split('`').length % 2 === 0 ||
        adviceParts(line).some((part) => 'command' in part && part.command.includes(MARK)),
    )
    .map((line) => `in a command: ${line}`);
}

async function inOutputs(): Promise<string[]> {
  const wrong: string[] = [];
  const check = (what: string, isWrong: boolean, text = '') => {
    if (isWrong) wrong.push(`${what} ${text.slice(0, 300)}`);
  };
  for (const json of [true, false]) {
    const recording = await RecordedStream.open(file);
    const lines: string[] = [];
    const run = runOf(recording, json, (text) =>
      lines.push(...text.replace(/\n$/, '').split('\n')),
    );
    for await (const { messages } of recording.pieces()) run.push(messages);
    run.finish();
    for (const line of lines) {
      check(json ? 'in JSON:' : 'in text:', INVISIBLE.test(line), line);
      if (json) check('no JSON of ours:', Boolean(misfit(JSON.parse(line))), line);
    }
  }
  const csv = (await exported('csv')).toString();
  for (const row of csv.slice(0, -2).split('\r\n')) {
    check('in CSV:', INVISIBLE.test(row), row);
    for (const cell of row.match(/"(?:[^"]|"")*"|[^,]+/g) ?? [])
      check('a formula:', FORMULA.test(cell), cell);
  }
  const pcapng = (await exported('pcapng')).toString('latin1');
  for (const obeyed of ['\u001b[2J', '\u001b]0;', '\u00e2\u0080\u00ae'])
    check('in pcapng:', pcapng.includes(obeyed));
  const all = { groups: [], netns: null };
  const report = await postMortem(
    [file],
    { moved: null, logs: [], told: [] },
    all,
    { cause: [], all: true, anonymize: false },
    new AbortController().signal,
  );
  if (!report) throw new Error('no report');
  const page = reportHtml(report);
  check('in a page:', new RegExp(`<${MARK}|&lt;!--</script`).test(page));
  check('in a page:', INVISIBLE.test(page.replaceAll('\n', '')));
  const markdown = reportMarkdown(report);
  check('in Markdown:', INVISIBLE.test(markdown.replaceAll('\n', '')));
  const outside = markdown
    .replace(/^(`{3,})[\s\S]*?^\1$/gm, '')
    .replace(/(`+)[^\n]*?[^`]\1(?!`)/g, '');
  check('in Markdown:', outside.includes(`<${MARK}`));
  for (const rows of tablesOf(markdown)) {
    const cells = new Set(rows.map((row) => row.split(/(?<!\\)\|/).length));
    check('a table:', cells.size !== 1, rows.join('\n'));
  }
  return wrong;
}

async function exported(name: keyof typeof FORMATS): Promise<Buffer> {
  const recording = await RecordedStream.open(file);
  const parts: Buffer[] = [];
  const exporter = FORMATS[name].open(
    recording.header,
    (data) => parts.push(Buffer.from(data)),
    null,
  );
  for await (const { messages } of recording.pieces()) exporter.push(messages);
  exporter.finish();
  return Buffer.concat(parts);
}

function tablesOf(markdown: string): string[][] {
  const blocks: string[][] = [];
  for (const block of markdown.split('\n\n')) {
    const rows = block.split('\n').filter((line) => line.startsWith('|'));
    if (rows.length > 0) blocks.push(rows);
  }
  return blocks;
}
