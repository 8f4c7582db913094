// SPDX-License-Identifier: Apache-2.0
//
// What each output may never have, whatever a recording says.

import { FORMATS } from '../../src/app/exporters.ts';
import { postMortem } from '../../src/app/post-mortem.ts';
import { Run } from '../../src/app/run.ts';
import { RecordedStream } from '../../src/record/read.ts';
import { reportHtml } from '../../src/sinks/report-html/page.ts';
import { reportMarkdown } from '../../src/sinks/report-md/page.ts';
import { misfit } from '../../test/schema.ts';

const NO_VALUE = /(?<![\w-])(NaN|undefined|Infinity|\[object \w+\])(?![\w-])/;
const BLOCK_BYTES = 12;
const ALL = { groups: [], netns: null };
const NO_TEXTS = { moved: null, logs: [], told: [] };
const FLAGS = { cause: [], all: true, anonymize: false };

/** Makes every output of a recording. Throws where one is not as it has to be. */
export async function checkOutputs(file: string): Promise<void> {
  for (const json of [false, true]) checkText(await printed(file, json), json);
  for (const [name, { open }] of Object.entries(FORMATS)) await exported(file, name, open);
  for (const anonymize of [false, true]) {
    const report = await postMortem(
      [file],
      NO_TEXTS,
      ALL,
      { ...FLAGS, anonymize },
      new AbortController().signal,
    );
    if (!report) throw new Error('the report was interrupted');
    checkText(reportMarkdown(report), false);
    checkText(reportHtml(report), false);
  }
}

async function printed(file: string, json: boolean): Promise<string> {
  const recording = await RecordedStream.open(file);
  const shown = { json, color: false, quiet: false, events: true, all: true };
  let text = '';
  const run = new Run(recording.header, { ...shown, causes: null, failOn: 'info' }, (more) => {
    text += more;
  });
  for await (const { messages } of recording.pieces()) run.push(messages);
  run.finish();
  return text;
}

async function exported(
  file: string,
  name: string,
  open: (typeof FORMATS)[keyof typeof FORMATS]['open'],
): Promise<void> {
  const recording = await RecordedStream.open(file);
  const parts: Buffer[] = [];
  const exporter = open(recording.header, (data) => parts.push(Buffer.from(data)), null);
  for await (const { messages } of recording.pieces()) exporter.push(messages);
  exporter.finish();
  const all = Buffer.concat(parts);
  if (name === 'pcapng') checkBlocks(all);
  else if (name !== 'protobuf') checkText(all.toString(), name === 'ndjson');
}

function checkText(text: string, json: boolean): void {
  const found = text.match(NO_VALUE);
  if (found) {
    const at = found.index ?? 0;
    throw new Error(`${found[0]} in: ${text.slice(Math.max(0, at - 200), at + 50)}`);
  }
  if (!json) return;
  for (const line of text.trimEnd().split('\n')) {
    const why = misfit(JSON.parse(line));
    if (why) throw new Error(`${why}: ${line.slice(0, 500)}`);
  }
}

/** Each block of pcapng ends with the length that it begins with. */
function checkBlocks(file: Buffer): void {
  let at = 0;
  while (at < file.length) {
    const bytes = file.readUInt32LE(at + 4);
    if (bytes < BLOCK_BYTES || bytes % 4 !== 0 || at + bytes > file.length)
      throw new Error(`pcapng: a block of ${bytes} bytes at ${at} of ${file.length}`);
    if (file.readUInt32LE(at + bytes - 4) !== bytes)
      throw new Error(`pcapng: the block at ${at} ends with another length`);
    at += bytes;
  }
}
