// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../known/knowledge.ts';
import { stateName } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import { PARTS_WITH_FLOW } from '../wire/messages.ts';
import type { Sock } from '../wire/types.gen.ts';
import { kindOf } from './kinds.ts';

/**
 * The event's body with the kernel's names beside its numbers, as `FIELD_name`, where the host that
 * made it told them.
 */
export function namedBody(event: Event, known: Knowledge): object {
  const body: { [field: string]: unknown } = { ...event.body };
  for (const field of PARTS_WITH_FLOW.get(event.kind) ?? []) {
    const value = body[field];
    if (isSock(value)) body[field] = named(value);
  }
  return Object.assign(body, kindOf(event)?.names?.(event.body, known));
}

function isSock(value: unknown): value is Sock {
  return typeof value === 'object' && value !== null && 'previous_state' in value;
}

function named(sock: Sock): object {
  return {
    ...sock,
    state_name: stateName(sock.state),
    previous_state_name: stateName(sock.previous_state),
  };
}
