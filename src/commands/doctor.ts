// SPDX-License-Identifier: Apache-2.0

import { openSource } from '../app/attach.ts';
import type { Values } from '../app/declare.ts';
import type { DOCTOR } from '../app/flags.ts';
import { untold } from '../app/run.ts';
import { FACTS, type Fact } from '../causes/facts.ts';
import { kernelIdentity } from '../host/kernel.ts';
import { jsonText } from '../sinks/printable.ts';
import { wrap } from '../sinks/wrap.ts';
import { EVERYTHING } from '../source/filter.ts';

/** What this kernel lets tcpwhy see: which hook shows each fact, and why not. */
export function doctor(flags: Values<typeof DOCTOR>, write: (text: string) => void): number {
  const source = openSource({
    filter: EVERYTHING,
    records_per_s: 1,
    tier: flags.tier ?? 'hooks',
    btf: flags.btf ?? undefined,
  });
  try {
    const { header } = source;
    const { missing, limits } = source.means();
    const unseen = untold(header);
    const symbols = header.hooks.some(({ fact, hook }) => fact === 'symbols' && hook !== '');
    if (flags.json) {
      const { tier } = header;
      const hooks = header.hooks.map(({ fact, hook, reason }) => {
        return { fact, hook: hook || null, reason: reason || null };
      });
      const capabilities_missing = missing.map(({ name }) => name);
      const told = { ...kernelIdentity(), tier, hooks, symbols, capabilities_missing };
      write(`${jsonText({ type: 'doctor', ...told, not_observable: unseen })}\n`);
      return 0;
    }
    const line = (text = '') => write(`${text}\n`);
    line(`Linux ${header.kernel} (${header.machine}) on ${header.host}: tier ${header.tier}`);
    line();
    for (const { fact, hook, reason } of header.hooks) {
      line(`${hook ? 'yes' : 'NO '}  ${fact.padEnd(15)} ${FACTS[fact as Fact]}`);
      const indent = ' '.repeat(21);
      for (const text of wrap(hook || 'not observable', indent, indent)) line(text);
      if (reason) for (const text of wrap(`because ${reason}`, indent, indent)) line(text);
    }
    line();
    line(
      symbols
        ? 'Kernel symbols: readable.'
        : 'Kernel symbols: hidden (kernel.kptr_restrict, or no CAP_SYSLOG): who reset a connection stays unknown.',
    );
    for (const { name, without } of missing)
      for (const text of wrap(`Without ${name}: ${without}.`, '', '  ')) line(text);
    for (const { of, by, most, needed, unit } of limits) {
      const some = (count: number) => `${count}${unit && ` ${unit}`}`;
      const has = most === null ? 'no limit' : `at most ${some(most)}`;
      for (const text of wrap(
        `Limit of ${of}: ${has}, ${some(needed)} are needed (${by}).`,
        '',
        '  ',
      ))
        line(text);
    }
    const owner = header.hooks.find(({ fact }) => fact === 'owner')?.hook ?? '';
    const blind = owner.includes('iter/') ? BLIND_HERE : [NO_ITERATORS, ...BLIND_HERE];
    for (const text of blind) for (const one of wrap(text, '- ', '  ')) line(one);
    if (unseen.length > 0)
      for (const text of wrap(`Causes that cannot be seen here: ${unseen.join(', ')}`, '', '  '))
        line(text);
    return 0;
  } finally {
    source.close();
  }
}

const NO_ITERATORS =
  'Without iterators (they need the kernel’s own BTF) nothing is known of sockets that were there before tcpwhy: neither listeners and their queues nor owners.';
const BLIND_HERE = [
  'Where packets arrive in batches (GRO on network cards) several SYNs may be open at once: their counters are told apart by order, and said to be inferred.',
  'accept() through io_uring, and 32-bit programs: the peer that they are shown is not seen.',
];
