// SPDX-License-Identifier: Apache-2.0

const UNITS = ['', 'k', 'M', 'G', 'T'];

/** At most six columns: exact up to 999999, then 3.63M. */
export function count(n: number): string {
  if (!Number.isFinite(n)) return '-';
  if (Math.abs(n) < 1e6) return String(Math.round(n));
  let value = n;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(Math.abs(value) < 10 ? 2 : 1)}${UNITS[unit]}`;
}

/** Occurrences a second. */
export function rate(perSecond: number): string {
  if (!(perSecond > 0)) return '0/s';
  if (perSecond < 0.1) return '<.1/s';
  if (perSecond < 9.95) return `${perSecond.toFixed(1)}/s`;
  if (perSecond < 9999.5) return `${Math.round(perSecond)}/s`;
  return perSecond < 999_500
    ? `${Math.round(perSecond / 1000)}k/s`
    : `${(perSecond / 1e6).toFixed(1)}M/s`;
}

/** How long before `now`, in at most four columns: 0s, 59s, 12m, 3h, 8d. */
export function age(then_ns: number, now_ns: number): string {
  const s = Math.max(0, (now_ns - then_ns) / 1e9);
  if (s < 100) return `${Math.floor(s)}s`;
  if (s < 6000) return `${Math.floor(s / 60)}m`;
  if (s < 172_800) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86_400)}d`;
}

function iso(wall_ns: number): string {
  const ms = Math.floor(wall_ns / 1e6);
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : '';
}

/** 18:56:40, always UTC: the same on every host that looks at one failure. */
export function clock(wall_ns: number): string {
  return wall_ns > 0 && iso(wall_ns) !== '' ? iso(wall_ns).slice(11, 19) : '--:--:--';
}

export function dateAndClock(wall_ns: number): string {
  return wall_ns > 0 && iso(wall_ns) !== ''
    ? `${iso(wall_ns).slice(0, 10)} ${clock(wall_ns)}`
    : clock(0);
}

/** 18:56:40.353352, as tcpdump writes it. A number holds wall clock ns to 256 ns: rounded, the microseconds are exact. */
export function clockMicros(wall_ns: number): string {
  const micros = Math.round(wall_ns / 1e3);
  return `${clock(micros * 1e3 + 500)}.${String(Math.max(0, micros % 1e6)).padStart(6, '0')}`;
}

const trimmed = (n: number, digits: number) => String(Number(n.toFixed(digits)));

export function duration(ns: number): string {
  const abs = Math.abs(ns);
  if (abs < 1e3) return `${trimmed(ns, 0)} ns`;
  if (abs < 1e6) return `${trimmed(ns / 1e3, 1)} us`;
  if (abs < 1e9) return `${trimmed(ns / 1e6, 1)} ms`;
  if (abs < 120e9) return `${trimmed(ns / 1e9, 2)} s`;
  if (abs < 7200e9)
    return `${trimmed(Math.trunc(ns / 60e9), 0)} min ${trimmed((abs / 1e9) % 60, 0)} s`;
  if (abs < 172_800e9)
    return `${trimmed(Math.trunc(ns / 3600e9), 0)} h ${trimmed(Math.floor((abs / 60e9) % 60), 0)} min`;
  return `${trimmed(ns / 86_400e9, 1)} days`;
}

export function bytes(n: number): string {
  const exact = `${n} bytes`;
  if (Math.abs(n) < 10_240) return exact;
  const [size, unit] =
    Math.abs(n) < 1024 ** 2
      ? [n / 1024, 'KiB']
      : Math.abs(n) < 1024 ** 3
        ? [n / 1024 ** 2, 'MiB']
        : [n / 1024 ** 3, 'GiB'];
  return `${exact} (${trimmed(size, 1)} ${unit})`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
