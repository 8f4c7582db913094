// SPDX-License-Identifier: Apache-2.0

import type { Import } from './imports.ts';

export interface Rule {
  says: string;
  breaks(by: Import): boolean;
}

/** Who may import what: docs/design.md, the tree. */
export const RULES: Rule[] = [
  {
    says: 'nothing imports tests or tools',
    breaks: ({ to }) => /^(test|tools)\//.test(to),
  },
  {
    says: 'only cli imports commands',
    breaks: ({ from, to }) => layer(to) === 'commands' && !/^src\/(cli$|commands\/)/.test(from),
  },
  {
    says: 'only cli, reader and commands import the application',
    breaks: ({ from, to }) =>
      layer(to) === 'app' && !/^src\/((cli|reader)$|commands\/|app\/)/.test(from),
  },
  {
    says: 'only what asks this host, or has the lab change it, imports more than types of the native binding',
    breaks: ({ from, to, typeOnly }) =>
      to === 'src/native/binding' &&
      !typeOnly &&
      !/^src\/(source\/(attach|caller|live|host-facts|published|remote|serve)|lab\/(flush|netns)|native\/.*)$/.test(
        from,
      ),
  },
  values('tcp', ['tcp']),
  values('wire', ['tcp', 'wire']),
  values('known', ['tcp', 'wire', 'known']),
  values('diagnose', ['tcp', 'wire', 'known', 'causes', 'diagnose']),
  values('report', ['tcp', 'wire', 'known', 'causes', 'diagnose', 'report']),
  {
    says: 'a cause imports its own folder, define, shared, tcp, and types that are of no other cause',
    breaks: ({ from, to, typeOnly }) => {
      const own = folder('causes', from);
      if (!own || to === 'src/causes/define' || layer(to) === 'tcp') return false;
      const other = folder('causes', to);
      return other ? other !== own && other !== 'shared' : !(typeOnly && inSource(to));
    },
  },
  {
    says: 'a sink imports its own folder, what the sinks share, tcp, and types that are not of known',
    breaks: ({ from, to, typeOnly }) => {
      if (layer(from) !== 'sinks' || !inSource(to) || layer(to) === 'tcp') return false;
      if (layer(to) !== 'sinks') return !typeOnly || layer(to) === 'known';
      const other = folder('sinks', to);
      return other !== null && other !== folder('sinks', from);
    },
  },
];

/** These layers are pure functions: besides types they take only from each other, and never from Node. */
function values(of: string, layers: string[]): Rule {
  return {
    says: `${of} imports ${layers.join(', ')}, and types`,
    breaks: ({ from, to, typeOnly }) =>
      layer(from) === of &&
      (inSource(to) ? !typeOnly && !layers.includes(layer(to)) : to.startsWith('node:')),
  };
}

const inSource = (path: string) => path.startsWith('src/');

/** `known` for src/known/clock, `cli` for src/cli. */
const layer = (path: string) => path.match(/^src\/([^/]+)/)?.[1] ?? '';

/** `tui` for src/sinks/tui/app, null for src/sinks/text. */
const folder = (of: string, path: string) =>
  path.match(new RegExp(`^src/${of}/([^/]+)/`))?.[1] ?? null;
