// SPDX-License-Identifier: Apache-2.0

import type { CauseRow, Report } from '../../report/model.ts';
import { isOfSeveral, moment, onHosts, SEVERITY_WORD, thousands, times } from '../report-text.ts';
import { type Html, html } from './html.ts';

const COLOURS = 8;
const HEIGHT = 24;
/** So that one among thousands is seen. */
const LOWEST = 2.5;
const MAX_LANES = 24;
const TICKS = 4;

/** The colour of a cause: the same wherever it stands. */
function colour(report: Report, cause: string): string {
  return `c${
    Math.max(
      0,
      report.causes.findIndex(({ id }) => id === cause),
    ) % COLOURS
  }`;
}

export function dot(report: Report, cause: string): Html {
  return html`<span class="dot ${colour(report, cause)}" aria-hidden="true"></span>`;
}

/** A lane a cause, on one axis; each as high as its own highest. */
export function chart(report: Report): Html {
  const { causes } = report;
  if (causes.length === 0) return html`<p>Nothing to draw: there was no finding.</p>`;
  const shown = causes.slice(0, MAX_LANES);
  const left_out = causes.length - shown.length;
  return html`<div class="chart">
${shown.map((cause) => lane(cause, report))}
<div class="axis" aria-hidden="true">${ticks(report).map((text) => html`<span>${text}</span>`)}</div>
</div>
<p class="soft">Times are UTC. A bar is ${widthText(report.timeline.width_ns)}${report.told ? ', of what was told then' : ''}; each lane is drawn to the height of its own highest bar.${left_out > 0 ? ` ${left_out} more causes are in the table.` : ''}</p>
${asTable(report)}`;
}

function lane(cause: CauseRow, report: Report): Html {
  const counts = countsOf(cause, report);
  const highest = Math.max(...counts, 1);
  const bars = counts.flatMap((count, at) => {
    if (count <= 0) return [];
    const height = Math.max(LOWEST, (count / highest) * HEIGHT);
    const when = moment(report.timeline.start_ns + at * report.timeline.width_ns, report);
    return [
      html`<rect class="${colour(report, cause.id)}" x="${at + 0.06}" y="${(HEIGHT - height).toFixed(1)}" width="0.88" height="${height.toFixed(1)}"><title>${when}: ${times(count)}</title></rect>`,
    ];
  });
  const first = report.findings.find(({ finding }) => finding.cause === cause.id);
  const name = first ? html`<a href="#finding-${first.number}">${cause.id}</a>` : html`${cause.id}`;
  return html`<div class="lane"><div class="name">${dot(report, cause.id)}${name} <span class="${cause.severity}">${SEVERITY_WORD[cause.severity]}</span></div>
<svg role="img" aria-label="${cause.id}: ${times(cause.count)}, most at once ${peak(cause, report)}" viewBox="0 0 ${counts.length} ${HEIGHT}" preserveAspectRatio="none">${bars}</svg>
<div class="times">${thousands(cause.count)}</div></div>
`;
}

function asTable(report: Report): Html {
  const rows = report.causes.map((cause) => {
    const counts = countsOf(cause, report);
    const first = counts.findIndex((count) => count > 0);
    const last = counts.findLastIndex((count) => count > 0);
    return html`<tr><th scope="row">${dot(report, cause.id)}${cause.id}</th><td>${cause.title}</td><td>${SEVERITY_WORD[cause.severity]}</td><td class="number">${thousands(cause.count)}</td><td class="number">${thousands(cause.findings)}</td><td>${bucketTime(first, report)}</td><td>${bucketTime(last, report)}</td><td>${peak(cause, report)}</td>${isOfSeveral(report) ? html`<td>${onHosts(cause)}</td>` : ''}</tr>
`;
  });
  return html`<details><summary>The same as a table</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Causes over time"><table><caption>Causes over time</caption>
<thead><tr><th scope="col">Cause</th><th scope="col">What it is</th><th scope="col">Severity</th><th scope="col" class="number">Times</th><th scope="col" class="number">Findings</th><th scope="col">First</th><th scope="col">Last</th><th scope="col">Most at once</th>${isOfSeveral(report) ? html`<th scope="col">Hosts</th>` : ''}</tr></thead>
<tbody>${rows}</tbody></table></div></details>`;
}

function countsOf({ id }: CauseRow, { timeline }: Report): number[] {
  return timeline.lanes.find(({ cause }) => cause === id)?.counts ?? [];
}

function peak(cause: CauseRow, report: Report): string {
  const counts = countsOf(cause, report);
  const highest = Math.max(...counts, 0);
  return `${thousands(highest)} at ${bucketTime(counts.indexOf(highest), report)}`;
}

function bucketTime(at: number, report: Report): string {
  return moment(report.timeline.start_ns + Math.max(0, at) * report.timeline.width_ns, report);
}

function ticks(report: Report): string[] {
  const { start_ns, width_ns, lanes } = report.timeline;
  const length_ns = width_ns * (lanes[0]?.counts.length ?? 0);
  return Array.from({ length: TICKS + 1 }, (_, at) =>
    moment(start_ns + (at * length_ns) / TICKS, report),
  );
}

function widthText(width_ns: number): string {
  const s = width_ns / 1e9;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${s / 60} min`;
  return s < 86_400 ? `${s / 3600} h` : `${s / 86_400} days`;
}
