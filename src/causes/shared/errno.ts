// SPDX-License-Identifier: Apache-2.0

const NAMES: { readonly [err: number]: string } = {
  1: 'EPERM',
  13: 'EACCES',
  12: 'ENOMEM',
  19: 'ENODEV',
  22: 'EINVAL',
  32: 'EPIPE',
  64: 'ENONET',
  71: 'EPROTO',
  92: 'ENOPROTOOPT',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  104: 'ECONNRESET',
  105: 'ENOBUFS',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  112: 'EHOSTDOWN',
  113: 'EHOSTUNREACH',
};

/** `ETIMEDOUT`, `errno 5`. */
export function errnoName(err: number): string {
  return NAMES[err] ?? `errno ${err}`;
}
