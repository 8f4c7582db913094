// SPDX-License-Identifier: Apache-2.0

import { plural } from '../format.ts';
import { type Line, span } from './lines.ts';
import type { ScreenModel } from './model.ts';
import { wrap } from './text.ts';

export interface Shown {
  filter: string;
  benign: boolean;
}

/** What stands where the table would be while it is empty: why it is, and that this is no fault. */
export function calmLines(model: ScreenModel, shown: Shown, width: number, height: number): Line[] {
  const strong: string[] = [];
  const plain: string[] = [];
  const hidden = model.findings.filter((view) => view.benign).length;
  const what = model.target ? `TCP connections of ${model.target}` : 'every TCP connection';
  const events = plural(model.events, 'event');
  const without = model.findings.length - (shown.benign ? 0 : hidden);
  if (shown.filter !== '' && without > 0) {
    strong.push(`No finding matches "${shown.filter}".`);
    plain.push(`Esc clears the filter: ${plural(without, 'finding')} without it.`);
  } else if (model.ended) {
    strong.push(`${model.recording ?? 'The source'} has ended: ${events}, no failure seen.`);
  } else {
    strong.push(
      `Watching ${what} on ${model.host}${model.recording === null ? '' : ` (${model.recording})`}.`,
    );
    plain.push(`${events}, no failure seen so far.`);
  }
  if (hidden > 0 && !shown.benign)
    plain.push(
      `${plural(hidden, 'benign finding')} hidden (ordinary duplicates and teardown): a shows them.`,
    );
  if (model.lost > 0)
    plain.push(
      `But ${plural(model.lost, 'record')} got lost on the way here: a failure may have been among them.`,
    );
  if (model.not_observable.length > 0) {
    plain.push(
      `${plural(model.not_observable.length, 'cause')} cannot be seen on this host: ? says which.`,
    );
  }
  const room = Math.min(72, width - 4);
  const lines: Line[] = [
    ...strong.flatMap((text) =>
      wrap(text, room).map((part) => [span('    '), span(part, 'strong')]),
    ),
    ...plain.flatMap((text) => [[], ...wrap(text, room).map((part) => [span('    '), span(part)])]),
  ];
  const above = Math.max(0, Math.floor((height - lines.length) / 3));
  return [...Array.from({ length: above }, (): Line => []), ...lines];
}
