// SPDX-License-Identifier: Apache-2.0

import { Command, CommanderError, Option } from 'commander';
import { mindReaders, write } from './app/stdout.ts';
import { UsageError } from './app/usage.ts';
import { causes } from './commands/causes.ts';
import { doctor } from './commands/doctor.ts';
import { exportRecording } from './commands/export.ts';
import { lab } from './commands/lab.ts';
import { replay } from './commands/replay.ts';
import { trace } from './commands/trace.ts';
import { keepIgnored } from './host/signals.ts';
import { VERSION } from './version.ts';

mindReaders();
keepIgnored();

let status: number | Promise<number> = 0;
const program = new Command('tcpwhy')
  .description('Says why a TCP connection was dropped, reset, or shown another peer’s address.')
  .version(VERSION)
  .exitOverride();

const collect = (value: string, all: string[] = []) => [...all, value];

const CAUSE = ['--cause <id>', 'only findings of this cause; may be given several times'] as const;
const FORCE = ['--force', 'replace the file that is there under this name'] as const;

/** As lines. */
function printed(command: Command): Command {
  return command
    .option(...CAUSE, collect)
    .option('--json', 'newline-delimited JSON')
    .option('--events', 'the events too, as decoded')
    .option('--all', 'benign ones too')
    .option('--no-color', 'without colours')
    .option('-q, --quiet', 'only the verdict')
    .option(
      '--fail-on <severity>',
      'lowest severity for exit status 1: error, warning or info',
      'warning',
    );
}

const TARGET =
  'only connections with this at either end: 3306, 10.0.0.5, 10.0.0.0/8, 10.0.0.5:3306 or [2001:db8::1]:443; of several, any';

function filtered(command: Command, netns: string): Command {
  return command
    .option('--port <port>', 'only with this port too; of several, any', collect)
    .option('--host <address>', 'only with this address or network too; of several, any', collect)
    .option('--netns <namespace>', netns);
}

function ofRecordings(command: Command): Command {
  return filtered(command, 'only this network namespace: its inode number');
}

function watching(command: Command): Command {
  return filtered(
    command.argument('[target...]', TARGET),
    'only this network namespace: a name, a path, pid:PID or an inode number',
  )
    .option('--every-record', 'keep every event also in a storm (costs more)')
    .option('--tier <tier>', 'highest to use: hooks (the default) or tracepoints')
    .option('--btf <file>', 'BTF of this very kernel, where it has none of its own')
    .option(
      '--toa-kind <kind>',
      'a TCP option of this kind is laid out as 254, and tells whom a balancer connects for; may be given several times',
      collect,
    );
}

function tracing(command: Command): Command {
  return printed(watching(command))
    .option('-v, --verbose', 'say on stderr what is attached where')
    .option('--first', 'end after the first finding');
}

function recording(command: Command): Command {
  return command
    .option(...FORCE)
    .option('--max-size <size>', 'go on in another file when it is this large: 500K, 100M, 2G')
    .option('--max-age <duration>', 'go on in another file after this time: 30m, 1h')
    .option('--keep <files>', 'delete all but the newest so many files (5)')
    .option('--no-host-name', 'record no name of this host; see also report --anonymize')
    .addOption(new Option('--anonymize').hideHelp());
}

recording(watching(program.command('top')))
  .description('live screen: causes, findings, evidence and advice')
  .option(...CAUSE, collect)
  .option('--no-color', 'without colours')
  .option('--from <file>', 'show a recording instead of this kernel')
  .option('-o, --output <file>', 'record too; compressed where it ends in .zst')
  .action(async (targets, flags) => {
    // Ink takes longer to load than all the rest: only where there is a screen to draw.
    const { top } = await import('./commands/top.ts');
    status = top(targets, flags);
  });

recording(tracing(program.command('trace')))
  .description('one shot: prints each finding as it happens, then a verdict')
  .option('--for <duration>', 'how long: 500ms, 30s, 2m, 1h', '30s')
  .option('-o, --output <file>', 'record too; compressed where it ends in .zst')
  .action((targets, flags) => {
    status = trace(targets, flags, write);
  });

recording(tracing(program.command('record')))
  .description('like trace, every event kept for later')
  .requiredOption('-o, --output <file>', 'where to; compressed where it ends in .zst')
  .option('--for <duration>', 'how long; without it, until Ctrl-C')
  .action((targets, flags) => {
    status = trace(targets, flags, write);
  });

ofRecordings(printed(program.command('replay')))
  .argument('<file|target...>', `recordings, and ${TARGET}`)
  .description('what trace would have printed for a recording')
  .action((args, flags) => {
    status = replay(args, flags, write);
  });

ofRecordings(program.command('report'))
  .argument('<file|target...>', `recordings, and ${TARGET}`)
  .description('a post-mortem of recordings: Markdown, or a page of its own')
  .option('-o, --output <file>', 'where to: .html or .md; without it, Markdown to stdout')
  .option(...FORCE)
  .option(...CAUSE, collect)
  .option('--all', 'benign ones too')
  .option('--anonymize', 'other addresses and names in place of the real ones')
  .action(async (args, flags) => {
    const { report } = await import('./commands/report.ts');
    status = report(args, flags, write);
  });

ofRecordings(program.command('export'))
  .argument('<file|target...>', `a recording, and ${TARGET}`)
  .description('a recording in another format')
  .requiredOption('--to <format>', 'ndjson, csv, pcapng or protobuf')
  .option('-o, --output <file>', 'where to; without it, or with -, to stdout')
  .option(...FORCE)
  .action((args, flags) => {
    status = exportRecording(args, flags);
  });

program
  .command('causes [id]')
  .description('the catalogue of causes; with an id, its page')
  .option('--json', 'as JSON')
  .action((id, flags) => {
    status = causes(id, flags, write);
  });

program
  .command('lab [scenario...]')
  .description(
    'makes a failure happen in private network namespaces, and shows what both ends see of it and the verdict; lists the scenarios',
  )
  .option('--all', 'makes all of them (or those given) happen, and compares what is reported')
  .option('--times <n>', 'how often each; 1 if not told otherwise, with --all 7')
  .option('--family <4|6>', 'with this address family')
  .option('--write <file>', 'with --all: writes the comparison as Markdown')
  .option(...FORCE)
  .option('--tier <tier>', 'highest to use: hooks (the default) or tracepoints')
  .option('--json', 'newline-delimited JSON')
  .option('--no-color', 'without colours')
  .action((scenarios, flags) => {
    status = lab(scenarios, flags, write);
  });

program
  .command('doctor')
  .description('what this kernel lets tcpwhy see, what it does not, and why')
  .option('--tier <tier>', 'highest to use: hooks (the default) or tracepoints')
  .option('--btf <file>', 'BTF of this very kernel, where it has none of its own')
  .option('--json', 'as JSON')
  .action((flags) => {
    status = doctor(flags, write);
  });

try {
  await program.parseAsync();
  process.exitCode = await status;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    const known = error instanceof UsageError;
    process.stderr.write(
      `tcpwhy: ${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exitCode = 2;
  }
}
