// SPDX-License-Identifier: Apache-2.0

/** Wall clock in nanoseconds since 1970 as RFC 3339 in UTC, to the millisecond. */
export function rfc3339(time_ns: number): string {
  return new Date(time_ns / 1e6).toISOString();
}

/** HH:MM:SS in the local time zone. */
export function clock(time_ns: number): string {
  const date = new Date(time_ns / 1e6);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}
