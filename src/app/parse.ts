// SPDX-License-Identifier: Apache-2.0

import { SEVERITIES, type Severity } from '../causes/define.ts';
import { EXPORT_FORMATS, type ExportFormat } from '../sinks/export/format.ts';
import type { Target } from '../source/filter.ts';
import type { Tier } from '../source/plan.ts';
import { mayBeToa } from '../source/toa.ts';
import { type Family, familyOf } from '../tcp/address.ts';
import { parsePort as portOf, splitEndpoint } from '../tcp/endpoint.ts';
import { holdsIPv4, type Net, parseNet } from '../tcp/network.ts';
import { UsageError } from './usage.ts';

export const TARGETS =
  'a port (3306), an address (10.0.0.5), a network (10.0.0.0/8) or one of these with a port (10.0.0.5:3306, [2001:db8::/32]:443)';

/**
 * `3306`, `:3306`, `10.0.0.5`, `10.0.0.0/8`, `10.0.0.5:3306`, `[2001:db8::1]:443`, `[2001:db8::/32]:443`,
 * `2001:db8::1`. Throws UsageError.
 */
export function parseTarget(text: string): Target {
  if (/^:?\d+$/.test(text)) return { net: null, port: parsePort(text) };
  const alone = parseNetwork(text);
  if (alone) return { net: alone, port: null };
  const both = splitEndpoint(text);
  const net = both && parseNetwork(both.host);
  if (!net) throw new UsageError(`${text} is no target: give ${TARGETS}`);
  return { net, port: both.port === null ? null : parsePort(both.port) };
}

/** An address, or a network with the length of its prefix; null where it is neither. */
function parseNetwork(text: string): Net | null {
  let net: Net | null;
  try {
    net = parseNet(text);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
  if (net && familyOf(net.address) === 6 && holdsIPv4(net))
    throw new UsageError(`${text} would be every IPv4 address too: 2000::/3 is IPv6`);
  return net;
}

/** `3306`, `:3306`. */
export function parsePort(text: string): number {
  const port = portOf(text.replace(/^:/, ''));
  if (port === null) throw new UsageError(`${text} is no port: 1 to 65535`);
  return port;
}

/** `--host`. */
export function parseHost(text: string): Net {
  const net = parseNetwork(text);
  if (!net) throw new UsageError(`--host ${text} is no address and no network`);
  return net;
}

/** `30s`, `2m`, `500ms`, `1h`, or seconds; in milliseconds. */
export function parseDuration(text: string): number {
  const match = text.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'];
  const milliseconds = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!match || !(milliseconds > 0))
    throw new UsageError(`${text} is no duration: 500ms, 30s, 2m, 1h`);
  return milliseconds;
}

/** `100M`, `2G`, `500K`, or bytes; in bytes. */
export function parseSize(text: string): number {
  const match = text.match(/^(\d+(?:\.\d+)?)([KMG])?(?:i?B)?$/i);
  const unit = { K: 1 << 10, M: 1 << 20, G: 1 << 30 }[match?.[2]?.toUpperCase() ?? ''] ?? 1;
  if (!match) throw new UsageError(`${text} is no size: 500K, 100M, 2G`);
  return Math.round(Number(match[1]) * unit);
}

export function parseSeverity(text: string): Severity {
  const severity = SEVERITIES.find((one) => one === text);
  if (severity) return severity;
  throw new UsageError(`--fail-on ${text}: error, warning or info`);
}

/** `--to`: a format of exports. */
export function parseFormat(text: string): ExportFormat {
  const format = EXPORT_FORMATS.find((one) => one === text);
  if (format) return format;
  throw new UsageError(`--to ${text}: ${EXPORT_FORMATS.join(', ')}`);
}

/** `--tier`: the highest that may be used. */
export function parseTier(text: string): Tier {
  if (text === 'hooks' || text === 'tracepoints') return text;
  throw new UsageError(`--tier ${text}: hooks or tracepoints`);
}

/** `--toa-kind`. */
export function parseToaKind(text: string): number {
  const kind = Number(text);
  if (!mayBeToa(kind))
    throw new UsageError(`--toa-kind ${text}: 1 to 255, and none that TCP itself uses`);
  return kind;
}

/** `--family`. */
export function parseFamily(text: string): Family {
  if (text === '4') return 4;
  if (text === '6') return 6;
  throw new UsageError(`--family ${text}: 4 or 6`);
}

/** `--from` of an engine. */
export function parseFrom(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  // It may have a password in it.
  throw new UsageError('--from: no URL of http or https; files are given without it');
}

/** `--times`. */
export function parseTimes(text: string): number {
  const times = Number(text);
  if (!Number.isInteger(times) || times < 1 || times > 1000)
    throw new UsageError(`--times ${text}: 1 to 1000`);
  return times;
}

/** `--keep`. */
export function parseKeep(text: string): number {
  const files = Number(text);
  if (!Number.isInteger(files) || files < 1)
    throw new UsageError(`--keep ${text}: how many files, at least 1`);
  return files;
}

/** `--max-size`, in bytes. */
export function parseMaxSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes < SMALLEST_FILE_BYTES) throw new UsageError(`--max-size ${text}: at least 64K`);
  return bytes;
}

const SMALLEST_FILE_BYTES = 64 << 10;

/** `--keep` of the agent, in bytes. */
export function parseKeptSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes < SMALLEST_KEPT_BYTES) throw new UsageError(`--keep ${text}: at least 1M`);
  return bytes;
}

const SMALLEST_KEPT_BYTES = 1 << 20;

/** `--interval`, in milliseconds. */
export function parseInterval(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds < 1000 || milliseconds > LONGEST_INTERVAL_MS)
    throw new UsageError(`--interval ${text}: from 1s to 24h`);
  return milliseconds;
}

const LONGEST_INTERVAL_MS = 24 * 3_600_000;

/** `9464`, `:9464`, `0.0.0.0:9464`, `[::]:9464`: without an address that of loopback. */
export function parseListenAddress(text: string): { host: string; port: number } {
  if (/^:?\d+$/.test(text)) return { host: '127.0.0.1', port: parsePort(text) };
  const { host, port } = splitEndpoint(text) ?? {};
  if (host === undefined || port == null)
    throw new UsageError(`${text} is no address to listen at: 9464, 0.0.0.0:9464, [::]:9464`);
  return { host, port: parsePort(port) };
}

export function text(text: string): string {
  return text;
}
