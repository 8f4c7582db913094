// SPDX-License-Identifier: Apache-2.0

import type { Declared } from '../../src/app/commands.ts';
import { namesOf } from '../../src/app/declare.ts';

const DESCRIPTION = `tcpwhy tells why a TCP connection of a Linux host was dropped, reset, or shown another peer’s address, while it happens. BPF programs watch the places where the kernel decides, and each failure is matched with a cause: what happened, the evidence, and what to do about it, with the command. It needs no change to any program and no packet capture.`;

const TARGETS = [
  'TARGET is a port (3306), an address (10.0.0.5), a network (10.0.0.0/8, 2001:db8::/32), or one of these with a port (10.0.0.5:3306, [2001:db8::1]:443), at either end of a connection; none is everything. Of several TARGETs a connection has to match any one; --port and --host may be given several times as well, and of each of the three that is given one has to match. There may be 16 in all.',
  'Of a recording the same is shown as if only that had been watched; an argument there that names a file is one, and :3306 never is.',
];

const STATUS: [string, string][] = [
  ['0', 'nothing at or above --fail-on (warning unless given)'],
  ['1', 'such a finding'],
  ['2', 'wrong use, missing permission, or a kernel without what is needed'],
  ['141', 'nobody read stdout any more, and there is no recording to go on with'],
  ['130', 'ended by Ctrl-C where there is no verdict to give'],
];

const EXAMPLES: [string, string][] = [
  ['sudo tcpwhy doctor', 'what can be seen here'],
  ['sudo tcpwhy top', 'a live screen of this host'],
  ['sudo tcpwhy trace :3306 --for 5m', 'what fails at port 3306 in the next five minutes'],
  [
    'sudo tcpwhy record -o /var/tmp/host.tcpwhy --max-size 100M',
    'keep what happens, in five files of 100 MB at the most',
  ],
  [
    'tcpwhy report /var/tmp/host.*.tcpwhy -o incident.html',
    'what these recordings tell, as a page',
  ],
];

/** The manual page of all commands, as groff and mandoc read it. */
export function manPage(commands: { readonly [name: string]: Declared }, version: string): string {
  return [
    '.\\" Written by tools/gen-man: make fmt',
    `.TH TCPWHY 1 "" "tcpwhy ${version}" "User Commands"`,
    '.SH NAME',
    'tcpwhy \\- say why a TCP connection was dropped, reset, or shown another peer',
    '.SH SYNOPSIS',
    ...Object.entries(commands).flatMap(([name, { args, flags }], index) => [
      ...(index === 0 ? [] : ['.br']),
      `.B tcpwhy ${name}`,
      ...usage({ args, flags }),
    ]),
    '.SH DESCRIPTION',
    ...prose(DESCRIPTION),
    '.SH COMMANDS',
    ...Object.entries(commands).flatMap(([name, { about, args, flags }]) => [
      `.SS tcpwhy ${name}${args ? ` ${place(args[0])}` : ''}`,
      ...prose(sentence(about)),
      ...Object.entries(flags)
        .filter(([, { hidden }]) => !hidden)
        .flatMap(([key, flag]) => {
          const names = namesOf(key, flag).map((one) => `\\fB${escaped(one)}\\fR`);
          const value = flag.takes === null ? '' : ` ${place(flag.takes)}`;
          const usual = flag.usual === null ? '' : ` (default: ${flag.usual})`;
          return ['.TP', `${names.join(', ')}${value}`, ...prose(`${flag.help}${usual}`)];
        }),
    ]),
    '.SH TARGETS',
    ...TARGETS.flatMap((text, index) => [...(index === 0 ? [] : ['.PP']), ...prose(text)]),
    '.SH EXIT STATUS',
    ...STATUS.flatMap(([status, means]) => ['.TP', status, ...prose(means)]),
    '.SH FILES',
    '.TP',
    '/run/tcpwhy/reader.sock',
    'where tcpwhy.socket listens: by it members of group tcpwhy use top, trace, record, agent and doctor without root',
    '.SH ENVIRONMENT',
    '.TP',
    'NO_COLOR',
    'where it is set and not empty, text has no colours',
    '.SH EXAMPLES',
    ...EXAMPLES.flatMap(([typed, what]) => ['.TP', `.B ${escaped(typed)}`, ...prose(what)]),
    '.SH SEE ALSO',
    '.BR ss (8),',
    '.BR nft (8),',
    '.BR tcpdump (8)',
    '',
  ].join('\n');
}

/** What follows the command's name, on one line; none where nothing does. */
function usage({ args, flags }: Pick<Declared, 'args' | 'flags'>): string[] {
  const has = Object.values(flags).some(({ hidden }) => !hidden);
  const words = [...(has ? ['[\\fIoption\\fR...]'] : []), ...(args ? [place(args[0])] : [])];
  return words.length > 0 ? [words.join(' ')] : [];
}

/** `<file|target...>` as a manual has it. */
function place(usage: string): string {
  const [open = '', inner = '', dots = ''] = usage.match(/^(.)(.*?)(\.\.\.)?.$/)?.slice(1) ?? [];
  const words = inner
    .split('|')
    .map((word) => `\\fI${word}\\fR`)
    .join('|');
  return open === '[' ? `[${words}${dots}]` : `${words}${dots}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Lines of text; one that begins as a request would is kept from being one. */
function prose(text: string): string[] {
  const lines: string[] = [''];
  for (const word of escaped(text).split(' ')) {
    const last = lines.length - 1;
    const line = lines[last] ?? '';
    if (line !== '' && line.length + 1 + word.length > 100) lines.push(word);
    else lines[last] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => (/^[.']/.test(line) ? `\\&${line}` : line));
}

/** What groff reads as it stands, in ASCII. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...');
}
