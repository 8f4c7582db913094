// SPDX-License-Identifier: Apache-2.0

import type { Sock } from '../../wire/types.gen.ts';
import { seconds } from './wording.ts';

/** Shorter than any limit that a program sets itself, and longer than an answer on its way takes. */
const LIMIT_MS = 900;

/** Evidence of a connection that a process closed at once: what it may have waited for. */
export interface WaitedFor {
  /** How long the peer had not been heard of. */
  silent_ms?: number;
  /** It had no room for what was to be sent, as its last segment said. */
  peer_window_shut?: true;
}

/** Recordings that have no window have no silence either. */
export function waitedFor({ silent_ms, snd_wnd, unacked_bytes }: Sock): WaitedFor {
  const shut = snd_wnd === 0 && silent_ms > 0 && unacked_bytes > 0;
  return {
    ...(silent_ms >= LIMIT_MS && { silent_ms }),
    ...(shut && { peer_window_shut: true as const }),
  };
}

export function waitedText(peer: string, { silent_ms, peer_window_shut }: WaitedFor): string {
  if (peer_window_shut) return `, while ${peer} had no room for what it sends`;
  return silent_ms === undefined ? '' : `, ${seconds(silent_ms)} after ${peer} was last heard of`;
}

export function waitedAdvice(
  at: string,
  peer: string,
  { silent_ms, peer_window_shut }: WaitedFor,
  is_service: boolean,
): string[] {
  if (peer_window_shut)
    return [
      `${peer}: its process does not read, or more slowly than ${at} will wait (${is_service ? 'send_timeout of nginx, timeout client of HAProxy, ' : ''}a write deadline). There, where Recv-Q stays: \`ss -tnp\``,
    ];
  if (silent_ms === undefined) return [];
  return [
    `is it about ${seconds(silent_ms)} each time? Then it is a limit that the program of ${at} has (${is_service ? 'client_header_timeout and client_body_timeout of nginx, timeout client of HAProxy, ' : 'timeout server of HAProxy, '}a read deadline). Why ${peer} was silent so long, its own host tells`,
  ];
}
