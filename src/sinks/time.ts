// SPDX-License-Identifier: Apache-2.0

/** Wall clock in nanoseconds since 1970 as RFC 3339 in UTC, to the millisecond. */
export function rfc3339(time_ns: number): string {
  return isoTime(Math.trunc(time_ns / 1e6));
}

let told_s = Number.NaN;
let told = '';

/** A whole number of milliseconds since 1970; one second's events come together, and share all but the end. */
export function isoTime(time_ms: number): string {
  const second = Math.floor(time_ms / 1000);
  if (second !== told_s) {
    told = new Date(second * 1000).toISOString().slice(0, -'000Z'.length);
    told_s = second;
  }
  return `${told}${String(time_ms - second * 1000).padStart(3, '0')}Z`;
}
