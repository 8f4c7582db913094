// SPDX-License-Identifier: Apache-2.0

import { printable } from '../printable.ts';

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Markup that is safe as it stands: only `html` makes it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Value = Html | string | number | null | readonly Value[];

/**
 * Markup with values in it. Every value that is not markup itself is text, with what a browser would
 * obey escaped and what it would hide written out: in an element or in a quoted attribute.
 */
export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  return new Html(
    parts.reduce((all, part, at) => `${all}${rendered(values[at - 1] ?? null)}${part}`),
  );
}

function rendered(value: Value): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string')
    return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
  return value.map(rendered).join('');
}
