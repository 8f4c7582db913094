// SPDX-License-Identifier: Apache-2.0

import type { Declared } from './commands.ts';
import { namesOf } from './declare.ts';

/** What may stand in a place of the command line: some words, any file, or what nobody can know. */
export type Words = readonly string[] | 'files' | null;

/** By what usage calls the place: `<severity>`, `[target...]`. */
export type Places = { readonly [place: string]: Words };

interface Command {
  name: string;
  about: string;
  options: Option[];
  args: Words;
}

interface Option {
  names: string[];
  help: string;
  /** What its value may be; undefined: it has none. */
  takes: Words | undefined;
  repeats: boolean;
}

const HELP = { names: ['-h', '--help'], help: 'display help', takes: undefined, repeats: false };
const VERSION = { ...HELP, names: ['-V', '--version'], help: 'output the version number' };

/** A script for each shell. */
export const SHELLS: {
  readonly [shell: string]: (commands: { readonly [name: string]: Declared }, at: Places) => string;
} = {
  bash: (commands, at) => bash(allOf(commands, at)),
  zsh: (commands, at) => zsh(allOf(commands, at)),
  fish: (commands, at) => fish(allOf(commands, at)),
};

function allOf(commands: { readonly [name: string]: Declared }, at: Places): Command[] {
  const wordsAt = (place: string): Words => {
    const words = at[place];
    if (words === undefined) throw new Error(`nothing is known of what may stand for ${place}`);
    return words;
  };
  return Object.entries(commands).map(([name, { about, args, flags }]) => ({
    name,
    about,
    options: [
      ...Object.entries(flags)
        .filter(([, { hidden }]) => !hidden)
        .map(([key, flag]) => ({
          names: namesOf(key, flag),
          help: flag.help,
          takes: flag.takes === null ? undefined : wordsAt(flag.takes),
          repeats: Array.isArray(flag.absent),
        })),
      HELP,
    ],
    args: args ? wordsAt(args[0]) : [],
  }));
}

/** Needs bash itself only. What a function cannot know is left empty. */
function bash(commands: Command[]): string {
  const taking = commands.map(({ name, options, args }) => {
    const values = options.flatMap(({ names, takes }) =>
      takes === undefined ? [] : [`\t\t${names.join(' | ')}) ${bashWords(takes)} ;;`],
    );
    const own = options.flatMap(({ names }) => names).join(' ');
    const others = `\t\t*) ${bashWords(args)} ;;`;
    return [
      `\t${name})`,
      `\t\toptions='${own}'`,
      '\t\tcase $before in',
      ...values,
      others,
      '\t\tesac',
      '\t\t;;',
    ].join('\n');
  });
  const first = [...commands.map(({ name }) => name), 'help'].join(' ');
  const global = [...VERSION.names, ...HELP.names].join(' ');
  return `# bash completion for tcpwhy: source it, or put it into /usr/share/bash-completion/completions.

_tcpwhy() {
	local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
	local command= options= words= i
	# As --output=FILE is told apart.
	if [[ $word == = ]]; then
		word=
	elif [[ $before == = ]]; then
		before=\${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ \${COMP_WORDS[i]} != -* ]]; then
			command=\${COMP_WORDS[i]}
			break
		fi
	done
	case $command in
	'')
		options='${global}'
		words='${first}'
		;;
	help) words='${first}' ;;
${taking.join('\n')}
	esac
	[[ $word == -* ]] && words=$options
	# shellcheck disable=SC2207
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -F _tcpwhy tcpwhy
`;
}

function bashWords(words: Words): string {
  if (words === 'files') return 'compopt -o default';
  return words?.length ? `words='${words.join(' ')}'` : ':';
}

function zsh(commands: Command[]): string {
  const described = [...commands, { name: 'help', about: 'display help for command' }].map(
    ({ name, about }) => `\t\t\t${quoted(`${name}:${about}`)}`,
  );
  const cases = commands.map(({ name, options, args }) => {
    const specs = [...options.map(zshOption), ...zshArgs(args)];
    return `\t\t${name})\n\t\t\t_arguments \\\n${specs.map((spec) => `\t\t\t\t${spec}`).join(' \\\n')}\n\t\t\t;;`;
  });
  return `#compdef tcpwhy
# zsh completion for tcpwhy: source it, or put it into a folder of $fpath as _tcpwhy.

_tcpwhy() {
	local context state state_descr line
	typeset -A opt_args
	_arguments -C \\
		${[VERSION, HELP].map(zshOption).join(' \\\n\t\t')} \\
		'1: :->command' \\
		'*:: :->rest'
	case $state in
	command)
		local -a commands=(
${described.join('\n')}
		)
		_describe -t commands command commands
		;;
	rest)
		case $words[1] in
${cases.join('\n')}
		esac
		;;
	esac
}

if [[ $funcstack[1] == _tcpwhy ]]; then
	_tcpwhy "$@"
else
	compdef _tcpwhy tcpwhy
fi
`;
}

function zshOption({ names, help, takes, repeats }: Option): string {
  const about = `[${help.replaceAll(/[[\]\\]/g, '\\$&')}]`;
  const value = takes === undefined ? '' : `:value:${zshWords(takes)}`;
  const alone = takes === undefined && names.includes('--help') ? '(- *)' : '';
  const others = repeats ? '*' : names.length > 1 ? `(${names.join(' ')})` : '';
  const given = alone || others;
  return names.length > 1
    ? `${given && quoted(given)}{${names.join(',')}}${quoted(`${about}${value}`)}`
    : quoted(`${given}${names[0]}${about}${value}`);
}

function zshArgs(args: Words): string[] {
  return args?.length === 0 ? [] : [quoted(`*:what:${zshWords(args)}`)];
}

function zshWords(words: Words): string {
  if (words === 'files') return '_files';
  return words === null ? '{ : }' : `(${words.join(' ')})`;
}

function fish(commands: Command[]): string {
  const lines = [...commands, { name: 'help', about: 'display help for command' }].map(
    ({ name, about }) =>
      `complete -c tcpwhy -n __fish_use_subcommand -a ${name} -d ${fishText(about)}`,
  );
  for (const option of [VERSION, HELP])
    lines.push(`complete -c tcpwhy -n __fish_use_subcommand ${fishOption(option)}`);
  for (const { name, options, args } of commands) {
    const when = `complete -c tcpwhy -n '__fish_seen_subcommand_from ${name}'`;
    if (args === 'files') lines.push(`${when} -F`);
    else if (args?.length) lines.push(`${when} -a ${fishText(args.join(' '))}`);
    for (const option of options) lines.push(`${when} ${fishOption(option)}`);
  }
  return `# fish completion for tcpwhy: source it, or put it into ~/.config/fish/completions.
complete -c tcpwhy -f
${lines.join('\n')}
`;
}

function fishOption({ names, help, takes }: Option): string {
  const called = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const value =
    takes === undefined
      ? []
      : takes === 'files'
        ? ['-r -F']
        : takes === null
          ? ['-x']
          : [`-x -a ${fishText(takes.join(' '))}`];
  return [...called, ...value, `-d ${fishText(help)}`].join(' ');
}

/** A word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishText(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
