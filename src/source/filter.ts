// SPDX-License-Identifier: Apache-2.0

import { isIPv4, isIPv6 } from 'node:net';

/** What the BPF programs report; null means anything. A port or host matches either end. */
export interface Filter {
  port: number | null;
  host: string | null;
  /** Inode number. */
  netns: number | null;
}

export function filterText({ port, host, netns }: Filter): string[] {
  return [
    ...(port === null ? [] : [`port ${port}`]),
    ...(host === null ? [] : [`host ${host}`]),
    ...(netns === null ? [] : [`netns ${netns}`]),
  ];
}

/** The filter as the programs' `const volatile` variables. */
export function filterRodata({ port, host, netns }: Filter): Record<string, Uint8Array> {
  const filter_port = Buffer.alloc(2);
  filter_port.writeUInt16LE(port ?? 0);
  const filter_netns = Buffer.alloc(4);
  filter_netns.writeUInt32LE(netns ?? 0);
  return {
    filter_port,
    filter_netns,
    filter_addr: host === null ? Buffer.alloc(16) : addressBytes(host),
    filter_has_addr: Buffer.from([host === null ? 0 : 1]),
  };
}

/** An address in 16 bytes; IPv4 as ::ffff:a.b.c.d. The text has to be an address. */
export function addressBytes(text: string): Buffer {
  const bytes = Buffer.alloc(16);
  if (isIPv4(text)) {
    bytes.writeUInt16BE(0xffff, 10);
    text.split('.').forEach((part, index) => bytes.writeUInt8(Number(part), 12 + index));
    return bytes;
  }
  if (!isIPv6(text)) throw new TypeError(`${text} is no address`);
  const dotted = text.match(/:(\d+\.\d+\.\d+\.\d+)$/)?.[1];
  if (dotted) return addressBytes(dotted);
  const [head = '', tail] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':'));
  words(head).forEach((word, index) => bytes.writeUInt16BE(Number.parseInt(word, 16), 2 * index));
  const last = words(tail ?? '');
  last.forEach((word, index) =>
    bytes.writeUInt16BE(Number.parseInt(word, 16), 16 - 2 * (last.length - index)),
  );
  return bytes;
}
