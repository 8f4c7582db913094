// SPDX-License-Identifier: Apache-2.0

/** Of every architecture that tcpwhy runs on. */
export const ERRNO = {
  EPERM: 1,
  ENOMEM: 12,
  EACCES: 13,
  EXDEV: 18,
  ENODEV: 19,
  EINVAL: 22,
  EPIPE: 32,
  ENONET: 64,
  EPROTO: 71,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
} as const;

const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, err]) => [err, name]));

/** `ETIMEDOUT`, `errno 5`. */
export function errnoName(err: number): string {
  return NAMES.get(err) ?? `errno ${err}`;
}
