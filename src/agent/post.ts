// SPDX-License-Identifier: Apache-2.0

import type { RequestOptions } from 'node:http';
import { request as https } from 'node:https';
import { gzipSync } from 'node:zlib';
import { VERSION } from '../version.ts';
import type { Endpoint } from './endpoint.ts';
import { http } from './http.ts';

/** What became of one request. */
export type Outcome =
  | { is: 'taken'; body: Uint8Array }
  /** Never to be sent again: there is something about the request itself. */
  | { is: 'refused'; why: string; too_large: boolean }
  /** `wait_ms`: as whoever answered asks for; null: it does not. */
  | { is: 'failed'; why: string; wait_ms: number | null };

/** Said of whoever sends, or how, and not of what is sent: another time it may be taken. */
const NOT_ABOUT_THE_REQUEST = new Set([401, 403, 404, 405, 407, 408, 415, 425, 429]);
const WHO_SENDS = 'OTEL_EXPORTER_OTLP_HEADERS says who sends: KEY=VALUE,…';
/** A URL of all signals that has the path of one already is a usual mistake. */
const WHERE =
  'OTEL_EXPORTER_OTLP_ENDPOINT gets that path, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and …_METRICS_ENDPOINT are taken as they are';
const ABOUT_THE_PATH = new Set([404, 405]);
const STATUS_HINTS: Readonly<Record<number, string>> = {
  401: WHO_SENDS,
  403: WHO_SENDS,
  404: WHERE,
  405: WHERE,
};
const TOO_LARGE = 413;
/** Of an answer no more is read. */
const MAX_ANSWER_BYTES = 64 << 10;
const LONGEST_WAIT_MS = 600_000;

/** Sends it once. Never throws. */
export function post(
  { url, headers, gzip, timeout_ms, tls }: Endpoint,
  message: Uint8Array,
  stopped?: AbortSignal,
): Promise<Outcome> {
  const body = gzip ? gzipSync(message) : message;
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/x-protobuf',
      'content-length': body.length,
      ...(gzip && { 'content-encoding': 'gzip' }),
      'user-agent': `tcpwhy/${VERSION}`,
      ...headers,
    },
  };
  const timeout = AbortSignal.timeout(timeout_ms);
  const signal = stopped ? AbortSignal.any([stopped, timeout]) : timeout;
  return new Promise((resolve) => {
    const failed = (error: unknown) =>
      resolve({
        is: 'failed',
        why: timeout.aborted ? `no answer within ${timeout_ms} ms` : reasonOf(error),
        wait_ms: null,
      });
    try {
      const send = url.protocol === 'https:' ? https : http.request;
      const request = send(url, { ...options, ...tls(), signal }, (answer) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on('error', failed);
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
        });
        answer.on('end', () => {
          const { statusCode = 0, headers } = answer;
          resolve(outcomeOf(url, statusCode, headers['retry-after'], Buffer.concat(chunks)));
        });
      });
      request.on('error', failed);
      request.end(body);
    } catch (error) {
      failed(error);
    }
  });
}

function outcomeOf(
  { pathname }: URL,
  status: number,
  retry_after: string | undefined,
  body: Buffer,
): Outcome {
  if (status >= 200 && status < 300) return { is: 'taken', body };
  const at = ABOUT_THE_PATH.has(status) ? ` at ${pathname}` : '';
  const why = withHint(`HTTP status ${status}${at}`, STATUS_HINTS[status]);
  if (status >= 400 && status < 500 && !NOT_ABOUT_THE_REQUEST.has(status))
    return { is: 'refused', why, too_large: status === TOO_LARGE };
  return { is: 'failed', why, wait_ms: waitOf(retry_after) };
}

/** Of Retry-After: seconds, or a date. */
function waitOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.min(Math.max(0, ms), LONGEST_WAIT_MS);
}

/** Of several attempts (IPv6, IPv4) the first. */
function reasonOf(error: unknown): string {
  const { message, code } = (error instanceof AggregateError ? error.errors[0] : error) as {
    message?: string;
    code?: string;
  };
  return withHint(message || code || String(error), HINTS[code ?? '']);
}

const withHint = (why: string, hint?: string) => (hint ? `${why} (${hint})` : why);

const NOT_TRUSTED = 'OTEL_EXPORTER_OTLP_CERTIFICATE names a file of who vouches for it';
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED:
    'nothing listens there: is the collector running, does it take OTLP by HTTP, and is OTEL_EXPORTER_OTLP_ENDPOINT right?',
  EAI_AGAIN: 'the resolver does not answer',
  ENOTFOUND: 'no such name: is OTEL_EXPORTER_OTLP_ENDPOINT right?',
  HPE_INVALID_CONSTANT: 'whoever answers speaks no HTTP/1.1; port 4317 is of gRPC, 4318 of HTTP',
  EPROTO: 'whoever answers may speak no TLS',
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
};
