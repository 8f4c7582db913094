// SPDX-License-Identifier: Apache-2.0

import { EXPORT_FORMATS } from '../sinks/export/format.ts';
import { many, negated, one, required, several, toggle, usually, type Values } from './declare.ts';
import {
  parseDuration,
  parseFamily,
  parseFormat,
  parseFrom,
  parseHost,
  parseInterval,
  parseKeep,
  parseKeptSize,
  parseListenAddress,
  parseMaxSize,
  parsePort,
  parseSeverity,
  parseTier,
  parseTimes,
  parseToaKind,
  text,
} from './parse.ts';

const cause = many('<id>', 'only findings of this cause; may be given several times', text);
const force = toggle('replace the file that is there under this name', { needs: ['output'] });
const all = toggle('benign ones too');
const color = negated('without colours');
const json = toggle('as JSON');
const tier = one('<tier>', 'highest to use: hooks (the default) or tracepoints', parseTier);
const btf = one('<file>', 'BTF of this very kernel, where it has none of its own', text);
const output = one('<file>', 'record too; compressed where it ends in .zst', text, { short: 'o' });

/** Which connections. */
const filter = (netns: string) => ({
  port: many('<port>', 'only with this port too; of several, any', parsePort),
  host: many('<address>', 'only with this address or network too; of several, any', parseHost),
  netns: one('<namespace>', netns, text),
});

const ofRecordings = filter('only this network namespace: its inode number');

const toaKind = many(
  '<kind>',
  'a TCP option of this kind is laid out as 254, and tells whom a balancer connects for; may be given several times',
  parseToaKind,
);

const watching = {
  everyRecord: toggle('keep every event also in a storm (costs more)'),
  tier,
  btf,
  toaKind,
};

/** As lines. */
const printed = {
  cause,
  json: toggle('newline-delimited JSON'),
  events: toggle('the events too, as decoded'),
  all,
  color,
  quiet: toggle('only the verdict', {
    short: 'q',
    against: { flags: ['json', 'events'], why: '--quiet is only the verdict, as text' },
  }),
  failOn: usually(
    'warning',
    '<severity>',
    'lowest severity for exit status 1: error, warning or info',
    parseSeverity,
  ),
};

const recorded = {
  force: {
    ...force,
    against: { flags: ['maxSize', 'maxAge'], why: 'each file gets a new name' },
  },
  maxSize: one(
    '<size>',
    'go on in another file when it is this large: 500K, 100M, 2G',
    parseMaxSize,
    { needs: ['output'] },
  ),
  maxAge: one('<duration>', 'go on in another file after this time: 30m, 1h', parseDuration, {
    needs: ['output'],
  }),
  keep: usually('5', '<files>', 'delete all but the newest so many files', parseKeep, {
    needs: ['maxSize', 'maxAge'],
  }),
  hostName: negated('record no name of this host; see also report --anonymize', {
    needs: ['output'],
  }),
};

const ofThisHost = filter(
  'only this network namespace: a name, a path, pid:PID or an inode number',
);

const ofThisKernel = { ...ofThisHost, ...watching };

const tracing = {
  ...ofThisKernel,
  ...printed,
  verbose: toggle('say on stderr what is attached where', { short: 'v' }),
  first: toggle('end after the first finding'),
  ...recorded,
};

export const TOP = {
  ...ofThisKernel,
  ...recorded,
  cause,
  color,
  from: {
    ...several(
      '<file>',
      'show recordings, and captures, instead of this kernel: on one clock',
      text,
    ),
    against: {
      flags: ['output', ...Object.keys(watching), ...Object.keys(recorded)],
      why: 'a recording is shown as it was made',
    },
  },
  output,
};

export const TRACE = {
  ...tracing,
  for: usually('30s', '<duration>', 'how long: 500ms, 30s, 2m, 1h', parseDuration),
  output,
};

export const RECORD = {
  ...tracing,
  output: required('<file>', 'where to; compressed where it ends in .zst', text, { short: 'o' }),
  for: one('<duration>', 'how long; without it, until Ctrl-C', parseDuration),
};

export const AGENT = {
  ...ofThisHost,
  tier,
  btf,
  toaKind,
  dir: one(
    '<directory>',
    'where recordings are kept; $STATE_DIRECTORY or /var/lib/tcpwhy if not told otherwise',
    text,
  ),
  keep: usually('1G', '<size>', 'so large may all recordings be together', parseKeptSize),
  maxAge: usually('1h', '<duration>', 'go on in another recording after this time', parseDuration),
  interval: usually('10s', '<duration>', 'tell of a finding that grows so often', parseInterval),
  prometheus: one(
    '<address>',
    'serve metrics at http://ADDRESS/metrics: a port, which is of 127.0.0.1 then, or address:port',
    parseListenAddress,
  ),
  hostName: negated('record and tell no name of this host'),
};

/** What else a host left. */
const texts = {
  counters: several(
    '<before> <after>',
    'two texts of counters (netstat -s, nstat -az, /proc/net/netstat and snmp): what moved names causes, and which of those of a capture come first',
    text,
  ),
  log: many('<file>', 'the kernel’s log, as dmesg and journalctl -k write it; - is stdin', text),
};

export const REPLAY = { ...printed, ...ofRecordings };

export const EXPLAIN = {
  ...printed,
  port: ofRecordings.port,
  host: ofRecordings.host,
  toaKind,
  ...texts,
};

const NOT_TOLD = 'an engine has what agents told, and names in it stand in sentences';

export const REPORT = {
  ...ofRecordings,
  ...texts,
  from: one(
    '<url>',
    'of what agents told ClickHouse or VictoriaLogs, instead of files',
    parseFrom,
    {
      against: { flags: ['counters', 'log', 'all', 'anonymize'], why: NOT_TOLD },
    },
  ),
  since: usually('1h', '<duration>', 'with --from: what was told since then', parseDuration, {
    needs: ['from'],
  }),
  output: one('<file>', 'where to: .html or .md; without it, Markdown to stdout', text, {
    short: 'o',
  }),
  force,
  cause,
  all,
  anonymize: toggle('other addresses and names in place of the real ones'),
};

export const EXPORT = {
  ...ofRecordings,
  to: required('<format>', EXPORT_FORMATS.join(', '), parseFormat),
  output: one('<file>', 'where to; without it, or with -, to stdout', text, { short: 'o' }),
  force,
};

export const CATALOGUE = { json };

export const LAB = {
  all: toggle('makes all of them (or those given) happen, and compares what is reported'),
  times: one('<n>', 'how often each; 1 if not told otherwise, with --all 7', parseTimes),
  family: one('<4|6>', 'with this address family', parseFamily),
  write: one('<file>', 'with --all: writes the comparison as Markdown', text, { needs: ['all'] }),
  force: { ...force, needs: ['write'] },
  tier,
  json: toggle('newline-delimited JSON'),
  color,
};

export const DOCTOR = { tier, btf, json };

/** `failures` is for its own child. */
export const DEMO = { failures: toggle('', { hidden: true }) };

export const COMPLETION = {};

export type FilterFlags = Values<typeof ofRecordings>;
export type PrintFlags = Values<typeof printed>;
export type RecordFlags = Values<typeof recorded & { output: typeof output }>;
export type AttachFlags = Values<typeof watching & { output: typeof output }> & {
  hostName: boolean;
};
/** Of trace and record. */
export type TraceFlags = Values<typeof tracing> & { for: number | null; output: string | null };
