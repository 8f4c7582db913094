// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { http } from './http.ts';

/** Of OTLP; each has its own path, and may have its own of each setting. */
export type Signal = 'logs' | 'metrics';

/** Where a signal goes, and how. */
export interface Endpoint {
  url: URL;
  headers: Readonly<Record<string, string>>;
  gzip: boolean;
  timeout_ms: number;
  /** As the files are now: certificates are renewed while the agent runs. */
  tls(): Certificates;
}

export interface Certificates {
  ca?: string | string[];
  cert?: string;
  key?: string;
}

const NO_CERTIFICATES = () => ({});

/** A setting that cannot be followed. */
export class SettingError extends Error {
  override name = 'SettingError';
}

const USUAL_URL = 'http://localhost:4318';
const USUAL_TIMEOUT_MS = 10_000;
const METRICS_EVERY_MS = 60_000;
/** As the others of OpenTelemetry: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */
const PREFIX = 'OTEL_EXPORTER_OTLP_';

/**
 * What the OTEL_EXPORTER_OTLP_* variables say of a signal; null where OTEL_LOGS_EXPORTER or OTEL_METRICS_EXPORTER
 * is `none`. Throws SettingError.
 */
export function endpointOf(signal: Signal, env: NodeJS.ProcessEnv): Endpoint | null {
  const exporter = `OTEL_${signal.toUpperCase()}_EXPORTER`;
  const wanted = env[exporter] || 'otlp';
  if (wanted === 'none') return null;
  if (wanted !== 'otlp') throw new SettingError(`${exporter}=${wanted}: otlp or none`);
  const own = (name: string) => env[`${PREFIX}${signal.toUpperCase()}_${name}`] || undefined;
  const setting = (name: string) => own(name) ?? (env[`${PREFIX}${name}`] || undefined);
  const protocol = setting('PROTOCOL') ?? 'http/protobuf';
  if (protocol !== 'http/protobuf')
    throw new SettingError(
      `${PREFIX}PROTOCOL=${protocol}: only http/protobuf (port 4318) is spoken`,
    );
  const url = own('ENDPOINT')
    ? parsed(`${PREFIX}${signal.toUpperCase()}_ENDPOINT`, own('ENDPOINT') as string)
    : withPath(parsed(`${PREFIX}ENDPOINT`, setting('ENDPOINT') ?? USUAL_URL), `v1/${signal}`);
  const compression = setting('COMPRESSION') ?? 'gzip';
  if (compression !== 'gzip' && compression !== 'none')
    throw new SettingError(`${PREFIX}COMPRESSION=${compression}: gzip or none`);
  const timeout_ms = milliseconds(`${PREFIX}TIMEOUT`, setting('TIMEOUT') ?? USUAL_TIMEOUT_MS);
  return {
    url,
    headers: headersOf(setting('HEADERS')),
    gzip: compression === 'gzip',
    timeout_ms,
    tls: url.protocol === 'https:' ? certificates(setting) : NO_CERTIFICATES,
  };
}

/** What HTTP does not allow would fail each time it is sent. */
function headersOf(text: string | undefined): Record<string, string> {
  const headers = pairs(`${PREFIX}HEADERS`, text);
  for (const [name, value] of Object.entries(headers)) {
    try {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, value);
    } catch {
      throw new SettingError(`${PREFIX}HEADERS: what HTTP does not allow in a header`);
    }
  }
  return headers;
}

/** Between two tellings of metrics, as OTEL_METRIC_EXPORT_INTERVAL says. Throws SettingError. */
export function metricsInterval_ms(env: NodeJS.ProcessEnv): number {
  const name = 'OTEL_METRIC_EXPORT_INTERVAL';
  return milliseconds(name, env[name] || METRICS_EVERY_MS);
}

/** As timers take them: more would be none at all. */
const MOST_MS = 2 ** 31 - 1;

function milliseconds(name: string, value: string | number): number {
  const ms = Number(value);
  if (Number.isInteger(ms) && ms >= 1 && ms <= MOST_MS) return ms;
  throw new SettingError(`${name}=${value}: milliseconds, from 1 to ${MOST_MS}`);
}

/** `KEY=VALUE,…`, percent-encoded, as OTEL_RESOURCE_ATTRIBUTES is too. Throws SettingError. */
export function pairs(name: string, text = ''): Record<string, string> {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf('=');
      if (at <= 0) throw new SettingError(`${name}: not KEY=VALUE,KEY=VALUE`);
      try {
        return [part.slice(0, at).trim(), decodeURIComponent(part.slice(at + 1).trim())];
      } catch {
        throw new SettingError(`${name}: not percent-encoded`);
      }
    }),
  );
}

function parsed(name: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    // What it is stands in a log then, and it may have a password in it.
    throw new SettingError(`${name}: no URL of http or https, as ${USUAL_URL}`);
  return url;
}

function withPath(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`;
  return url;
}

/** What the system trusts is trusted too: many have their own authority there. */
function certificates(setting: (name: string) => string | undefined): Endpoint['tls'] {
  const trusted = [...getCACertificates('default'), ...getCACertificates('system')];
  const file = (name: string) => {
    const path = setting(name);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new SettingError(`${PREFIX}${name}=${path}: ${(error as Error).message}`);
    }
  };
  const read = (): Certificates => {
    const [ca, cert, key] = [file('CERTIFICATE'), file('CLIENT_CERTIFICATE'), file('CLIENT_KEY')];
    return {
      ca: ca ?? trusted,
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    };
  };
  // What cannot be read at the start is wrong; later on it is about to be written.
  let last = read();
  return () => {
    try {
      last = read();
    } catch {
      // Those before may do.
    }
    return last;
  };
}
