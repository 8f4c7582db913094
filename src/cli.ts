// SPDX-License-Identifier: Apache-2.0

import { Command, CommanderError } from 'commander';
import { addFlags, type Flags, optionHelp, type Values } from './app/declare.ts';
import { failureText } from './app/failure.ts';
import {
  CATALOGUE,
  DOCTOR,
  EXPLAIN,
  EXPORT,
  LAB,
  RECORD,
  REPLAY,
  REPORT,
  TOP,
  TRACE,
} from './app/flags.ts';
import { mindReaders, NO_READER, write } from './app/stdout.ts';
import { keepIgnored } from './host/signals.ts';
import { VERSION } from './version.ts';

mindReaders();
keepIgnored();
process.on('uncaughtException', (error) => {
  failed(error);
  process.exit();
});

let status = 0;
const program = new Command('tcpwhy')
  .description('Says why a TCP connection was dropped, reset, or shown another peer’s address.')
  .version(VERSION)
  .configureHelp({ optionDescription: optionHelp })
  .exitOverride();

interface Declared<F extends Flags> {
  about: string;
  /** As usage has them, and their help. */
  args?: readonly [string, string];
  flags: F;
  /** Loads what it needs itself, so that no command waits for what only another one does. Resolves to the exit status. */
  run(args: string[], flags: Values<F>): Promise<number>;
}

function command<F extends Flags>(name: string, { about, args, flags, run }: Declared<F>): void {
  const made = program.command(name).description(about);
  if (args) made.argument(...args);
  const given = addFlags(made, flags);
  made.action(async () => {
    status = await run(made.args, given());
  });
}

const TARGET =
  'only connections with this at either end: 3306, 10.0.0.5, 10.0.0.0/8, 10.0.0.5:3306 or [2001:db8::1]:443; of several, any';

command('top', {
  about: 'live screen: causes, findings, evidence and advice',
  args: ['[target...]', TARGET],
  flags: TOP,
  run: async (...given) => (await import('./commands/top.ts')).top(...given),
});

command('trace', {
  about: 'one shot: prints each finding as it happens, then a verdict',
  args: ['[target...]', TARGET],
  flags: TRACE,
  run: async (...given) => (await import('./commands/trace.ts')).trace(...given, write),
});

command('record', {
  about: 'like trace, every event kept for later',
  args: ['[target...]', TARGET],
  flags: RECORD,
  run: async (...given) => (await import('./commands/trace.ts')).trace(...given, write),
});

command('replay', {
  about: 'what trace would have printed for a recording',
  args: ['<file|target...>', `recordings, and ${TARGET}`],
  flags: REPLAY,
  run: async (...given) => (await import('./commands/replay.ts')).replay(...given, write),
});

command('explain', {
  about: 'what the packets of a capture prove: pcap or pcapng, as tcpdump writes them',
  args: ['<file|target...>', `captures (- is stdin), and ${TARGET}`],
  flags: EXPLAIN,
  run: async (...given) => (await import('./commands/explain.ts')).explain(...given, write),
});

command('report', {
  about: 'a post-mortem of recordings: Markdown, or a page of its own',
  args: ['<file|target...>', `recordings, and ${TARGET}`],
  flags: REPORT,
  run: async (...given) => (await import('./commands/report.ts')).report(...given, write),
});

command('export', {
  about: 'a recording in another format',
  args: ['<file|target...>', `a recording, and ${TARGET}`],
  flags: EXPORT,
  run: async (...given) => (await import('./commands/export.ts')).exportRecording(...given),
});

command('causes', {
  about: 'the catalogue of causes; with an id, its page',
  args: ['[id]', ''],
  flags: CATALOGUE,
  run: async (...given) => (await import('./commands/causes.ts')).causes(...given, write),
});

command('lab', {
  about:
    'makes a failure happen in private network namespaces, and shows what both ends see of it and the verdict; lists the scenarios',
  args: ['[scenario...]', ''],
  flags: LAB,
  run: async (...given) => (await import('./commands/lab.ts')).lab(...given, write),
});

command('doctor', {
  about: 'what this kernel lets tcpwhy see, what it does not, and why',
  flags: DOCTOR,
  run: async (_, flags) => (await import('./commands/doctor.ts')).doctor(flags, write),
});

try {
  await program.parseAsync();
  process.exitCode = status;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    failed(error);
  }
}

function failed(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') {
    process.exitCode = NO_READER;
    return;
  }
  process.stderr.write(`tcpwhy: ${failureText(error)}\n`);
  process.exitCode = 2;
}
