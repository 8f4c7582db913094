// SPDX-License-Identifier: Apache-2.0

import type { Header } from '../wire/types.gen.ts';

/** Boot times of one boot differ by what the wall clock was set meanwhile. */
const SAME_BOOT_NS = 10e9;

/**
 * Files by the host that they are of, each host's in the order of time; hosts in the order of the
 * files. One kernel watched in two namespaces or with two filters counts as two: each sees another part.
 */
export function byHost<File extends { header: Header }>(files: readonly File[]): File[][] {
  const hosts: File[][] = [];
  for (const file of files) {
    const known = hosts.find(([first]) => first && sameHost(first.header, file.header));
    if (known) known.push(file);
    else hosts.push([file]);
  }
  const start = ({ header }: File) => header.start_ktime_ns + Number(header.clock_offset_ns);
  return hosts.map((of) => {
    // Those of one run by their number: the clock may have been set back meanwhile.
    const first = (file: File) =>
      Math.min(...of.filter(({ header }) => sameRun(header, file.header)).map(start), start(file));
    return of.sort((a, b) => {
      if (sameRun(a.header, b.header)) return a.header.part - b.header.part || start(a) - start(b);
      return first(a) - first(b);
    });
  });
}

const sameRun = (a: Header, b: Header) => a.run === b.run && a.run !== '0';

function sameHost(a: Header, b: Header): boolean {
  if (sameRun(a, b)) return true;
  if (a.host !== b.host || a.kernel !== b.kernel || a.netns !== b.netns) return false;
  if (a.filters.join() !== b.filters.join()) return false;
  return (
    a.host !== '' || Math.abs(Number(a.clock_offset_ns) - Number(b.clock_offset_ns)) < SAME_BOOT_NS
  );
}

/** Of what else a host left its header names the file. */
const WATCHED: ReadonlySet<string> = new Set(['hooks', 'tracepoints']);

/** Names for hosts: their own; where that says nothing or is not the only one, with the file's name. */
export function hostNames(hosts: readonly { name: string; header: Header }[][]): string[] {
  const own = hosts.map(([first]) =>
    first && WATCHED.has(first.header.tier) ? first.header.host : '',
  );
  const stems = hosts.map(([first]) => stem(first?.name ?? ''));
  return own.map((host, at) => {
    const file = stems[at] ?? '';
    const unique =
      stems.filter((other) => other === file).length === 1 ? file : `${file} ${at + 1}`;
    if (host === '') return unique;
    return own.filter((other) => other === host).length === 1 ? host : `${host} (${unique})`;
  });
}

/** `client` for /var/tmp/client.tcpwhy.zst. */
function stem(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.tcpwhy(\.zst)?$/, '');
}
