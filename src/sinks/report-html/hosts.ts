// SPDX-License-Identifier: Apache-2.0

import type { CounterRow, HostReport, Report, ToldReport } from '../../report/model.ts';
import { plural } from '../format.ts';
import {
  allSeen,
  clockSentence,
  counterChange,
  left,
  moment,
  mostFailures,
  thousands,
  WHAT_AGENTS_MISS,
} from '../report-text.ts';
import { type Html, html } from './html.ts';

export function lostSection(report: Report): Html {
  if (report.told)
    return html`<section aria-labelledby="lost"><h2 id="lost">Lost or not observable</h2>
<p>${WHAT_AGENTS_MISS}</p></section>`;
  const { hosts } = report;
  const losses = hosts.flatMap(({ name, losses: rows }) =>
    rows.map(
      (row) =>
        html`<tr><td>${name}</td><th scope="row"><code>${row.name}</code></th><td>${row.severity}</td><td class="number">${thousands(row.count)}</td><td>${row.meaning}</td></tr>
`,
    ),
  );
  const blind = hosts.flatMap(({ name, not_observable }) =>
    not_observable.map(
      ({ id, title }) =>
        html`<tr><td>${name}</td><th scope="row"><code>${id}</code></th><td>${title}</td></tr>
`,
    ),
  );
  return html`<section aria-labelledby="lost"><h2 id="lost">Lost or not observable</h2>
${
  losses.length === 0
    ? html`<p>Nothing was lost.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="What was lost"><table><caption>What was lost</caption><thead><tr><th scope="col">Host</th><th scope="col">Loss</th><th scope="col">Severity</th><th scope="col" class="number">Times</th><th scope="col">What it means</th></tr></thead><tbody>${losses}</tbody></table></div>`
}
${
  blind.length === 0
    ? html`<p>${allSeen(report)}</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="What could not have been seen"><table><caption>These causes could not have been seen: that they are absent says nothing</caption><thead><tr><th scope="col">Host</th><th scope="col">Cause</th><th scope="col">What it is</th></tr></thead><tbody>${blind}</tbody></table></div>`
}</section>`;
}

export function hostSection(report: Report): Html {
  if (report.told) return toldHosts(report.told);
  const heading = report.hosts.length === 1 ? 'Host' : 'Hosts';
  return html`<section aria-labelledby="hosts"><h2 id="hosts">${heading}</h2>${report.hosts.map((host) => oneHost(host, report))}</section>`;
}

function toldHosts({ hosts }: ToldReport): Html {
  const shown = mostFailures(hosts);
  const more = hosts.length - shown.length;
  const rows = shown.map(
    ({ name, version, findings, count }) =>
      html`<tr><th scope="row">${name}</th><td class="number">${thousands(findings)}</td><td class="number">${thousands(count)}</td><td>${version}</td></tr>
`,
  );
  return html`<section aria-labelledby="hosts"><h2 id="hosts">Hosts</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Hosts that told of failures"><table><caption>Hosts that told of failures</caption><thead><tr><th scope="col">Host</th><th scope="col" class="number">Findings</th><th scope="col" class="number">Failures</th><th scope="col">tcpwhy</th></tr></thead><tbody>
${rows}</tbody></table></div>
${more > 0 ? html`<p>${plural(more, 'host')} with fewer failures ${more === 1 ? 'is' : 'are'} left out.</p>` : ''}</section>`;
}

function oneHost(host: HostReport, report: Report): Html {
  const { name, kernel, tier, version, filters, files, ended, events, netns } = host;
  const missing = host.hooks.filter(({ hook }) => hook === '');
  const leading = host.counters.filter((row) => row.leading);
  const moved = host.counters.filter((row) => !row.leading);
  return html`<h3>${name}</h3>
<dl class="host"><dt>${left(host) ? 'What' : 'Kernel'}</dt><dd>${left(host) ?? `Linux ${kernel}, ${tier} tier`}</dd>
<dt>${left(host) ? 'Time' : 'Recorded'}</dt><dd>${moment(host.start_ns, report)} to ${moment(host.end_ns, report)} UTC${left(host) ? '' : ` by tcpwhy ${version}; ${ended === null ? 'cut off' : `ended: ${ended}`}`}</dd>
<dt>${left(host) ? 'Shown' : 'Watched'}</dt><dd>${filters.length === 0 ? 'everything' : `only ${filters.join(', ')}`}; ${plural(events, 'event')}</dd>
<dt>Clock</dt><dd>${host.clock.basis === 'own' ? 'All times are on this host’s clock.' : clockSentence(host)}</dd>
<dt>Files</dt><dd>${files.map((file, at) => html`${at > 0 ? ', ' : ''}<code>${file}</code>`)}</dd>
${missing.length > 0 ? html`<dt>Not seen here</dt><dd>${missing.map(({ fact, reason }) => `${fact} (${reason})`).join('; ')}</dd>` : ''}</dl>
<div class="columns"><div>${leading.length > 0 ? counters(leading, `Counters that tell of failures, of network namespace ${netns}`) : html`<p class="soft">None of the counters that tell of failures is above zero.</p>`}
${moved.length > 0 ? html`<details><summary>${plural(moved.length, 'other counter')} that moved</summary>${counters(moved, 'Other counters that moved')}</details>` : ''}</div>
<div>${settings(host)}</div></div>`;
}

function counters(rows: readonly CounterRow[], caption: string): Html {
  const body = rows.map(
    (row) =>
      html`<tr><th scope="row" class="mono">${row.name}</th><td class="number">${thousands(row.start)}</td><td class="number">${row.end === null ? '' : thousands(row.end)}</td><td class="number">${counterChange(row)}</td></tr>
`,
  );
  return html`<table><caption>${caption}</caption><thead><tr><th scope="col">Counter</th><th scope="col" class="number">Start</th><th scope="col" class="number">End</th><th scope="col" class="number">Change</th></tr></thead><tbody>${body}</tbody></table>`;
}

function settings({ sysctls }: HostReport): Html | string {
  if (sysctls.length === 0) return '';
  const body = sysctls.map(
    ({ name, value }) =>
      html`<tr><th scope="row" class="mono">${name}</th><td class="right mono">${value}</td></tr>
`,
  );
  return html`<table><caption>Settings at the start</caption><thead><tr><th scope="col">Setting</th><th scope="col" class="number">Value</th></tr></thead><tbody>${body}</tbody></table>`;
}
