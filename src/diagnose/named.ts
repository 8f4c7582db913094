// SPDX-License-Identifier: Apache-2.0

import { callers } from '../causes/shared/kernel.ts';
import type { Knowledge } from '../flow/knowledge.ts';
import { stateName } from '../tcp/states.ts';
import type { Event } from '../wire/event.ts';
import type { Sock } from '../wire/types.gen.ts';
import { PEER_CALLS } from './describe.ts';

/**
 * The event's body with the kernel's names beside its numbers, as `FIELD_name`, where the host that
 * made it told them.
 */
export function namedBody(event: Event, known: Knowledge): object {
  const body: { [field: string]: unknown } = { ...event.body };
  for (const field in body) {
    const value = body[field];
    if (isSock(value)) body[field] = named(value);
  }
  switch (event.kind) {
    case 'drop': {
      const { reason, location } = event.body;
      return {
        ...body,
        reason_name: known.dropReason(reason),
        location_name: known.symbol(location)?.name ?? null,
      };
    }
    case 'reset_sent': {
      const { reason, stack } = event.body;
      return {
        ...body,
        reason_name: known.resetReason(reason),
        stack_names: callers(stack, known),
      };
    }
    case 'state_change': {
      const { old_state, new_state } = event.body;
      return {
        ...body,
        old_state_name: stateName(old_state),
        new_state_name: stateName(new_state),
      };
    }
    case 'peer_name': {
      const { call, getname } = event.body;
      return {
        ...body,
        call_name: PEER_CALLS[call] ?? null,
        getname_name: known.symbol(getname)?.name ?? null,
      };
    }
    default:
      return body;
  }
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
