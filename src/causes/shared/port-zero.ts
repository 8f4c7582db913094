// SPDX-License-Identifier: Apache-2.0

/** Programs dial port 0 where a setting is empty; nothing can listen there. */
export const portZeroText = (dport: number) =>
  dport === 0 ? '; port 0 is none, and nothing ever listens there' : '';

export const portZeroAdvice = (who: string) =>
  `${who} dials port 0: a setting for the port is empty, no number, or not read (a variable of its environment, a Service without that name). Look for it in the program’s settings`;
