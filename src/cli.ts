// SPDX-License-Identifier: Apache-2.0

import { Command, CommanderError } from 'commander';
import { ABOUT, COMMANDS, type Declared } from './app/commands.ts';
import { addFlags, type Flags, optionHelp, type Values } from './app/declare.ts';
import { failureText } from './app/failure.ts';
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
  .description(ABOUT)
  .version(VERSION)
  .configureHelp({ optionDescription: optionHelp })
  .exitOverride();

/** Each loads what it needs itself, so that no command waits for what only another one does. Resolves to the exit status. */
const RUN: {
  [Name in keyof typeof COMMANDS]: (
    args: string[],
    flags: Values<(typeof COMMANDS)[Name]['flags']>,
  ) => Promise<number>;
} = {
  top: async (...given) => (await import('./commands/top.ts')).top(...given),
  trace: async (...given) => (await import('./commands/trace.ts')).trace(...given, write),
  record: async (...given) => (await import('./commands/trace.ts')).trace(...given, write),
  agent: async (...given) => (await import('./commands/agent.ts')).agent(...given),
  replay: ofFiles(async (...given) =>
    (await import('./commands/replay.ts')).replay(...given, write),
  ),
  explain: ofFiles(async (...given) =>
    (await import('./commands/explain.ts')).explain(...given, write),
  ),
  report: ofFiles(async (...given) =>
    (await import('./commands/report.ts')).report(...given, write),
  ),
  export: ofFiles(async (...given) =>
    (await import('./commands/export.ts')).exportRecording(...given),
  ),
  causes: async (...given) => (await import('./commands/causes.ts')).causes(...given, write),
  lab: async (...given) => (await import('./commands/lab.ts')).lab(...given, write),
  demo: async (_, flags) => (await import('./commands/demo.ts')).demo(flags),
  doctor: async (_, flags) => (await import('./commands/doctor.ts')).doctor(flags, write),
  completion: async (args) => (await import('./commands/completion.ts')).completion(args, write),
};

/** What it reads may come from strangers. */
function ofFiles<A extends unknown[]>(run: (...given: A) => Promise<number>) {
  return async (...given: A) => {
    (await import('./app/caller.ts')).onlyRead();
    return run(...given);
  };
}

function command<F extends Flags>(
  name: string,
  { about, args, flags }: Declared<F>,
  run: (args: string[], flags: Values<F>) => Promise<number>,
): void {
  const made = program.command(name).description(about);
  if (args) made.argument(...args);
  const given = addFlags(made, flags);
  made.action(async () => {
    status = await run(made.args, given());
  });
}

for (const name of Object.keys(COMMANDS) as (keyof typeof COMMANDS)[])
  command<Flags>(name, COMMANDS[name], RUN[name] as Parameters<typeof command>[2]);

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
