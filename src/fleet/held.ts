// SPDX-License-Identifier: Apache-2.0

import { pairs, SettingError } from '../agent/endpoint.ts';
import { roundWidth } from '../report/buckets.ts';
import type { Grown, Told } from '../report/told.ts';
import { CLICKHOUSE } from './clickhouse.ts';
import { EngineError, type Query, rowsOf } from './http.ts';
import { toldOf } from './told.ts';
import { QUERY_PATH, VICTORIA_LOGS } from './victoria-logs.ts';
import { isWanted, type Wanted } from './wanted.ts';

export interface Held {
  told: Told[];
  growth: Grown[];
  /** There are more findings than were asked for. */
  incomplete: boolean;
  /** Where it was asked, without what nobody else is to know. */
  from: string;
}

const HEADERS = 'TCPWHY_FROM_HEADERS';
/** Of each a few kilobytes are kept. */
const MOST_FINDINGS = 20_000;
const STEPS = 96;
const TIMEOUT_MS = 120_000;

/** What an engine has of so long; null where it was interrupted. Throws EngineError and SettingError. */
export async function heldBy(
  url: URL,
  since_ns: number,
  now_ns: number,
  wanted: Wanted,
  env: NodeJS.ProcessEnv,
  interrupted: AbortSignal,
  most = MOST_FINDINGS,
): Promise<Held | null> {
  const engine = url.pathname.endsWith(QUERY_PATH) ? VICTORIA_LOGS : CLICKHOUSE;
  const base = new URL(url);
  [base.username, base.password] = ['', ''];
  const headers = {
    ...engine.headers(env),
    ...authorization(url),
    ...pairs(HEADERS, env[HEADERS]),
  };
  const width_s = Math.max(1, Math.round(roundWidth((now_ns - since_ns) / STEPS) / 1e9));
  const { findings, growth } = engine.queries(base, {
    ...{ ...wanted, since_ns, most: most + 1, width_s },
  });
  const rows = (query: Query) => rowsOf(query, { headers, timeout_ms: TIMEOUT_MS }, interrupted);

  const asked = isWanted(wanted);
  const all: Told[] = [];
  let read = 0;
  for await (const row of rows(findings)) {
    // It answers what it likes.
    if (++read > most + 1) break;
    const told = toldOf(engine.stored(row));
    if (!told)
      throw new EngineError(`${base.host}: a log record is not as tcpwhy agent makes them`);
    if (asked(told)) all.push(told);
  }
  const ids = new Set(all.map(({ finding }) => finding.id));
  const grown: Grown[] = [];
  if (ids.size > 0)
    for await (const row of rows(growth)) {
      const one = engine.grown(row);
      if (ids.has(one.id)) grown.push(one);
    }
  if (interrupted.aborted) return null;
  return { told: all, growth: grown, incomplete: read > most, from: base.origin + base.pathname };
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  let both: string;
  try {
    both = [username, password].map(decodeURIComponent).join(':');
  } catch {
    throw new SettingError('--from: its user or password is not percent-encoded');
  }
  return { authorization: `Basic ${Buffer.from(both).toString('base64')}` };
}
