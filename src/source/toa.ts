// SPDX-License-Identifier: Apache-2.0

/** As `enum option` of bpf/include/maps.h. */
const OPTION = { timestamps: 1, toa: 2, toa_28: 3, toa_253: 4 } as const;

const OPTION_OF_KIND = {
  8: OPTION.timestamps,
  28: OPTION.toa_28,
  200: OPTION.toa,
  253: OPTION.toa_253,
  254: OPTION.toa,
} as const;

/** What TCP itself uses: MSS, window scale, SACK, timestamps, MD5, AO, MPTCP, fast open, ENO. */
const TAKEN = [0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 69];

/** Whether a balancer may use this kind of TCP option to tell whom it connects for. */
export function mayBeToa(kind: number): boolean {
  return Number.isInteger(kind) && kind > 0 && kind < 256 && !TAKEN.includes(kind);
}

/** Which option the programs look for under each kind; those that are given are as 254. */
export function toaRodata(given: readonly number[]): Record<string, Uint8Array> {
  const option_of_kind = Buffer.alloc(256);
  for (const kind of given) option_of_kind[kind] = OPTION.toa;
  for (const [kind, option] of Object.entries(OPTION_OF_KIND))
    option_of_kind[Number(kind)] = option;
  return { option_of_kind };
}
