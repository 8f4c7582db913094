// SPDX-License-Identifier: Apache-2.0

export const TCP_FLAG = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10 } as const;

const LETTERS: [number, string][] = [
  [TCP_FLAG.syn, 'S'],
  [TCP_FLAG.fin, 'F'],
  [TCP_FLAG.rst, 'R'],
  [TCP_FLAG.psh, 'P'],
  [TCP_FLAG.ack, 'A'],
];

const TEXTS = Array.from({ length: 32 }, (_, flags) => {
  const letters = LETTERS.filter(([flag]) => flags & flag).map(([, letter]) => letter);
  return letters.join('') || '-';
});

/** `S`, `SA`, `R`, `PA` … in tcpdump's order. */
export function flagsText(flags: number): string {
  return TEXTS[flags & 31] as string;
}
