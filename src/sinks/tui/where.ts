// SPDX-License-Identifier: Apache-2.0

import type { Finding, FlowText } from '../../diagnose/finding.ts';
import { printable } from '../printable.ts';
import type { Glyphs } from './glyphs.ts';
import { cutStart, widthOf } from './text.ts';

function endpoint(address: string, port: number, family: 4 | 6): string {
  const host = printable(address);
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

export function flowText(flow: FlowText, glyphs: Glyphs): string {
  return `${endpoint(flow.saddr, flow.sport, flow.family)} ${glyphs.arrow} ${endpoint(flow.daddr, flow.dport, flow.family)}`;
}

/** A container's id as container tools shorten it; a name stays. */
export function containerText(container: string): string {
  return printable(/^[0-9a-f]{64}$/.test(container) ? container.slice(0, 12) : container);
}

/** `mysqld in web-7d9f`, `mysqld`, or nothing. */
export function who(finding: Finding): string {
  const { process } = finding;
  if (process === null) return '';
  const comm = printable(process.comm);
  return process.container === null ? comm : `${comm} in ${containerText(process.container)}`;
}

/** Whether `where` has room for process and container too. */
export function whoFits(finding: Finding, width: number): boolean {
  return widthOf(printable(finding.where)) + 2 + widthOf(who(finding)) <= width;
}

/** The subject in the given width, with process and container where there is room for all of it. */
export function where(finding: Finding, width: number, glyphs: Glyphs): string {
  const place = printable(finding.where);
  if (whoFits(finding, width))
    return [place, who(finding)].filter((part) => part !== '').join('  ');
  return widthOf(place) <= width ? place : cutStart(place, width, glyphs.ellipsis);
}

/** The one-line why: the summary, led by process and container where it does not name them itself. */
export function why(finding: Finding): string {
  const { process, summary } = finding;
  const text = printable(summary === '' ? finding.title : summary);
  if (process === null || text.includes(printable(process.comm))) return text;
  return `${who(finding)}: ${text}`;
}
