// SPDX-License-Identifier: Apache-2.0

/** Whether a kernel, as `uname -r` calls it, is this version or a later one. */
export function isSince(kernel: string, major: number, minor: number): boolean {
  const [one = 0, other = 0] = kernel.split('.').map(Number);
  return one > major || (one === major && other >= minor);
}
