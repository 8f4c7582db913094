// SPDX-License-Identifier: Apache-2.0

export interface Row {
  suite: string;
  debian: string;
  glibc: string;
  /** Of each command: null where it did what it should, else what it said. */
  commands: { [command: string]: string | null };
  start_ms: number;
  ok: boolean;
}

const BEGIN = '<!-- roots:begin -->';
const END = '<!-- roots:end -->';

/** The page with the table of what was tried, in place of the one that was there. */
export function installPage(page: string, rows: Row[], kernel: string): string {
  const names = Object.keys(rows[0]?.commands ?? {});
  const lines = [
    `On ${kernel}, x86-64:`,
    '',
    `| root file system | glibc | ${names.map((name) => `\`${name}\``).join(' | ')} | start |`,
    `|---|---|${'---|'.repeat(names.length)}---|`,
    ...rows.map(({ suite, debian, glibc, commands, start_ms }) => {
      const cells = names.map((name) => commands[name] ?? 'yes');
      return `| Debian ${debian} (${suite}) | ${glibc} | ${cells.join(' | ')} | ${start_ms} ms |`;
    }),
  ];
  const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]];
  if (before === undefined || after === undefined) throw new Error('the page has no place for it');
  return `${before}${BEGIN}\n${lines.join('\n')}\n${END}${after}`;
}
