// SPDX-License-Identifier: Apache-2.0

import { type Command, Option } from 'commander';
import { UsageError } from './usage.ts';

/** One option of the command line. `Value` is what a command gets of it. */
export interface Flag<Value> extends More {
  help: string;
  /** What it is given: `<file>`. Null: it stands alone. */
  takes: string | null;
  /** It takes all that follows, up to the next option. */
  greedy?: true;
  /** It is `--no-…`. */
  negated: boolean;
  /** What it is where it is not given; undefined: it has to be. */
  absent: Value | undefined;
  /** The same as it would have been given, where help shows it. */
  usual: string | null;
  /** Of a text, and of what the option was given before that. Throws UsageError. */
  parse(text: string, before: Value): Value;
}

interface More {
  /** One letter. */
  short?: string;
  hidden?: boolean;
  /** Names of flags of which one has to be given with it: alone it would do nothing. */
  needs?: readonly string[];
  /** Names of flags that would do nothing beside it, and what is said then. */
  against?: { flags: readonly string[]; why: string };
}

/** By the name that commands know it by: `maxSize` for `--max-size`. */
export type Flags = { readonly [name: string]: Flag<unknown> };

export type Values<F extends Flags> = {
  [Name in keyof F]: F[Name] extends Flag<infer Value> ? Value : never;
};

export function toggle(help: string, more: More = {}): Flag<boolean> {
  return { ...ALONE, help, absent: false, ...more };
}

/** True unless `--no-…` is given. */
export function negated(help: string, more: More = {}): Flag<boolean> {
  return { ...ALONE, help, absent: true, negated: true, ...more };
}

/** Null unless it is given. */
export function one<T>(
  takes: string,
  help: string,
  parse: (text: string) => T,
  more: More = {},
): Flag<T | null> {
  return { help, takes, negated: false, absent: null, usual: null, parse, ...more };
}

/** Has to be given. */
export function required<T>(
  takes: string,
  help: string,
  parse: (text: string) => T,
  more: More = {},
): Flag<T> {
  return { help, takes, negated: false, absent: undefined, usual: null, parse, ...more };
}

/** `usual` unless it is given. */
export function usually<T>(
  usual: string,
  takes: string,
  help: string,
  parse: (text: string) => T,
  more: More = {},
): Flag<T> {
  return { help, takes, negated: false, absent: parse(usual), usual, parse, ...more };
}

/** As often as wanted. */
export function many<T>(takes: string, help: string, parse: (text: string) => T): Flag<T[]> {
  const add = (text: string, before: T[]) => [...before, parse(text)];
  return { help, takes, negated: false, absent: [], usual: null, parse: add };
}

/** All that follows it up to the next option: whoever reads it gives back what is not its own. */
export function several<T>(takes: string, help: string, parse: (text: string) => T): Flag<T[]> {
  return { ...many(takes, help, parse), greedy: true };
}

const ALONE = { takes: null, negated: false, usual: null, parse: () => true };

/** Gives a command its flags: a function that says what was given of them, once that is parsed; it throws UsageError. */
export function addFlags<F extends Flags>(command: Command, flags: F): () => Values<F> {
  const options = new Map(
    Object.entries(flags).map(([name, flag]) => [name, optionOf(name, flag)]),
  );
  for (const option of options.values()) command.addOption(option);
  const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
  return () => {
    for (const [name, flag] of Object.entries(flags))
      if (isGiven(name)) refuseUseless(name, flag, flags, isGiven);
    return command.opts<Values<F>>();
  };
}

/** How help tells of an option: without what it is where it is not given, unless that is a text to give. */
export function optionHelp({ description, defaultValueDescription }: Option): string {
  return defaultValueDescription === undefined
    ? description
    : `${description} (default: ${defaultValueDescription})`;
}

function optionOf(name: string, flag: Flag<unknown>): Option {
  const { short, takes, help, absent, usual, hidden = false } = flag;
  const long = [longName(name, flag), takes].filter((part) => part !== null).join(' ');
  const option = new Option(short === undefined ? long : `-${short}, ${long}`, help);
  if (absent === undefined) option.makeOptionMandatory();
  else option.default(absent, usual === null ? undefined : JSON.stringify(usual));
  if (flag.greedy) option.variadic = true;
  if (takes !== null) option.argParser((text, before) => flag.parse(text, before));
  return option.hideHelp(hidden);
}

function refuseUseless(
  name: string,
  { needs, against }: Flag<unknown>,
  flags: Flags,
  isGiven: (name: string) => boolean,
): void {
  const called = (name: string) => shown(name, flags[name]);
  if (needs && !needs.some(isGiven))
    throw new UsageError(
      `${called(name)} needs ${needs.map((one) => usage(one, flags[one])).join(' or ')}`,
    );
  const useless = against?.flags.find(isGiven);
  if (useless !== undefined)
    throw new UsageError(`${called(name)} and ${called(useless)} together: ${against?.why}`);
}

/** As they are typed: `-o` and `--output`. */
export function namesOf(name: string, flag: Flag<unknown>): string[] {
  return [...(flag.short === undefined ? [] : [`-${flag.short}`]), longName(name, flag)];
}

/** `--max-size`, `--no-color`. */
function longName(name: string, flag: Flag<unknown> | undefined): string {
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `--${flag?.negated ? 'no-' : ''}${kebab}`;
}

/** `-o`, `--max-size`, `--quiet`. */
function shown(name: string, flag: Flag<unknown> | undefined): string {
  return flag?.short !== undefined && flag.takes !== null ? `-${flag.short}` : longName(name, flag);
}

/** `-o FILE`. */
function usage(name: string, flag: Flag<unknown> | undefined): string {
  const takes = flag?.takes?.replace(/[<>]/g, '').toUpperCase();
  return takes === undefined ? shown(name, flag) : `${shown(name, flag)} ${takes}`;
}
