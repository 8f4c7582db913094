// SPDX-License-Identifier: Apache-2.0

/** A 16-byte address as people write it: IPv4 (::ffff:a.b.c.d) dotted, IPv6 after RFC 5952. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length !== 16) return '';
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const words = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index));
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) {
    return bytes.subarray(12).join('.');
  }
  let start = 0;
  let length = 0;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && words[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const hex = words.map((word) => word.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

/** Up to the first byte of zero. */
export function plainText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset, end < 0 ? bytes.length : end).toString('utf8');
}
