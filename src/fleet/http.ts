// SPDX-License-Identifier: Apache-2.0

import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { VERSION } from '../version.ts';

/** What is asked, as engines take it. */
export interface Query {
  url: URL;
  body: string | URLSearchParams;
}

/** An engine that does not answer, or not as it should. */
export class EngineError extends Error {
  override name = 'EngineError';
}

/** No row of a finding is nearly as long. */
const LONGEST_LINE = 4 << 20;
const MOST_SAID = 300;

export interface Access {
  headers: Readonly<Record<string, string>>;
  timeout_ms: number;
}

/** Each object of an answer, which has one a line. Throws EngineError; where `interrupted`, it just ends. */
export async function* rowsOf(
  query: Query,
  { headers, timeout_ms }: Access,
  interrupted: AbortSignal,
): AsyncGenerator<Record<string, unknown>> {
  const { url, body } = query;
  if (url.protocol === 'https:')
    setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
  const timeout = AbortSignal.timeout(timeout_ms);
  const signal = AbortSignal.any([timeout, interrupted]);
  const failed = (error: unknown) =>
    timeout.aborted
      ? new EngineError(
          `${url.host}: no whole answer within ${timeout_ms / 1000} s: ask for less with --since`,
        )
      : error instanceof EngineError
        ? error
        : new EngineError(`${url.host}: ${reasonOf(error)}`);
  try {
    const answer = await fetch(url, {
      ...{ method: 'POST', body, signal, redirect: 'manual' },
      headers: { 'user-agent': `tcpwhy/${VERSION}`, ...headers },
    });
    if (answer.status !== 200) throw await refusal(url, answer);
    for await (const line of linesOf(answer)) yield objectIn(line, url);
  } catch (error) {
    if (!interrupted.aborted) throw failed(error);
  }
}

async function* linesOf(answer: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun = '';
  for await (const bytes of answer.body ?? []) {
    const lines = (begun + decoder.decode(bytes, { stream: true })).split('\n');
    begun = lines.pop() ?? '';
    yield* lines.filter((line) => line.trim() !== '');
    if (begun.length > LONGEST_LINE) break;
  }
  if (begun.trim() !== '') yield begun;
}

/** An engine that fails on the way writes why among the rows. */
function objectIn(line: string, url: URL): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Said below.
  }
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw new EngineError(`${url.host}: this is no row as JSON: ${beginning(line)}`);
}

async function refusal(url: URL, answer: Response): Promise<EngineError> {
  const { status } = answer;
  let said = '';
  for await (const line of linesOf(answer)) {
    said += `${line} `;
    if (said.length > MOST_SAID) break;
  }
  const why = said === '' ? '' : `: ${beginning(said)}`;
  return new EngineError(`${url.host}: HTTP status ${status}${why}`);
}

const beginning = (text: string) =>
  text.length > MOST_SAID ? `${text.slice(0, MOST_SAID)}…` : text.trim();

/** Of `fetch failed` what failed. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error;
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  return (first as Error | undefined)?.message || message || String(error);
}
