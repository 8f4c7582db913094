// SPDX-License-Identifier: Apache-2.0

import type { Names } from '../known/knowledge.ts';
import type { Event } from '../wire/event.ts';
import { kindOf } from './kinds.ts';

/** One line for one event, without its time: for the list of a finding's events. */
export function describe(event: Event, known: Names): string {
  return kindOf(event)?.line(happened(event, known), event.body) ?? event.kind;
}

/** What happened, without the packet or socket that it happened to. */
export function happened(event: Event, known: Names): string {
  return kindOf(event)?.happened(event.body, known) ?? event.kind;
}
