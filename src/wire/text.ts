// SPDX-License-Identifier: Apache-2.0

/** Up to the first byte of zero. */
export function plainText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset, end < 0 ? bytes.length : end).toString('utf8');
}
