// SPDX-License-Identifier: Apache-2.0

import { addressText, familyOf } from '../tcp/address.ts';
import { ERRNO } from '../tcp/errno.ts';

/** icmp_err_convert of Linux: what a connect ends with; null: it does not. */
const UNREACHABLE_V4: readonly (number | null)[] = [
  ERRNO.ENETUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.ENOPROTOOPT,
  ERRNO.ECONNREFUSED,
  // Fragmentation needed: it goes on with smaller segments.
  null,
  ERRNO.EOPNOTSUPP,
  ERRNO.ENETUNREACH,
  ERRNO.EHOSTDOWN,
  ERRNO.ENONET,
  ERRNO.ENETUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.ENETUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.EHOSTUNREACH,
];

/** tab_unreach of Linux. */
const UNREACHABLE_V6: readonly number[] = [
  ERRNO.ENETUNREACH,
  ERRNO.EACCES,
  ERRNO.EHOSTUNREACH,
  ERRNO.EHOSTUNREACH,
  ERRNO.ECONNREFUSED,
  ERRNO.EACCES,
  ERRNO.EACCES,
];

const V4 = { unreachable: 3, time_exceeded: 11, parameter_problem: 12 } as const;
const V6 = { unreachable: 1, time_exceeded: 3, parameter_problem: 4 } as const;

/** What Linux tells a program whose connect an ICMP error ends; null where it ends none. */
export function linuxError(icmp: { type: number; code: number; from: Uint8Array }): number | null {
  const { type, code } = icmp;
  const is_v4 = familyOf(addressText(icmp.from)) === 4;
  const types = is_v4 ? V4 : V6;
  if (type === types.unreachable) return (is_v4 ? UNREACHABLE_V4 : UNREACHABLE_V6)[code] ?? null;
  if (type === types.time_exceeded) return ERRNO.EHOSTUNREACH;
  return type === types.parameter_problem ? ERRNO.EPROTO : null;
}
