// SPDX-License-Identifier: Apache-2.0

import type { EndRow, FindingReport, Report } from '../../report/model.ts';
import { adviceParts } from '../advice.ts';
import { endTexts } from '../ends.ts';
import { evidenceRows } from '../evidence-rows.ts';
import {
  allOf,
  basisText,
  capital,
  isOfSeveral,
  netnsText,
  period,
  processText,
  SEVERITY_WORD,
  span,
  story,
  thousands,
  times,
  title,
} from '../report-text.ts';
import { chart, dot } from './chart.ts';
import { hostSection, lostSection } from './hosts.ts';
import { type Html, html } from './html.ts';
import { LEGEND, ladder } from './ladder.ts';
import { STYLE } from './style.ts';

const MAX_FLOWS = 20;

/** One page that needs nothing else: no script, no font, no image from anywhere. */
export function reportHtml(report: Report): string {
  const { happened, known } = story(report);
  const [first, ...reasons] = happened;
  const more = report.rest.length + report.omitted;
  const style = html`<style>`.text + STYLE + html`</style>`.text;
  const head = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title(report)}, ${period(report)}</title>
`;
  const body = html`</head>
<body>
<a class="skip" href="#main">To the report</a>
<header>
<h1>${title(report)}</h1>
<p class="soft">${period(report)}${report.anonymized ? '. Addresses and names are not the real ones.' : ''}</p>
<nav aria-label="Sections"><ul><li><a href="#happened">What happened</a></li><li><a href="#timeline">Timeline</a></li><li><a href="#findings">Findings</a></li><li><a href="#where">Where</a></li><li><a href="#lost">Lost or not observable</a></li><li><a href="#hosts">Hosts</a></li></ul></nav>
</header>
<main id="main">
<section aria-labelledby="happened"><h2 id="happened">What happened</h2>
<p class="lead">${first ?? ''}</p>
${reasons.length > 0 ? html`<ul class="happened">${reasons.map((text) => html`<li>${text}</li>`)}</ul>` : ''}
<p>${known.join(' ')}</p></section>
<section aria-labelledby="timeline"><h2 id="timeline">Timeline by cause</h2>
${chart(report)}</section>
<section aria-labelledby="findings"><h2 id="findings">Findings</h2>
${report.findings.length === 0 ? html`<p>None.</p>` : ''}
${more > 0 ? html`<p>The ${report.findings.length} weightiest are shown in full, of each cause at least one; <a href="#others">${thousands(more)} more</a> follow as a table.</p>` : ''}
${report.findings.some(({ ladder: drawn }) => drawn !== null) ? html`<p class="soft">${LEGEND}</p>` : ''}
${report.findings.map((one) => finding(one, report))}
${others(report)}</section>
<section aria-labelledby="where"><h2 id="where">Where it happened</h2>
${ends('Listeners and services that failures were about', 'Listener or service', report.services, report)}
${report.told ? '' : ends('Talkers: the ends that dialled', 'Address', report.talkers, report)}</section>
${lostSection(report)}
${hostSection(report)}
</main>
<footer><p>Written by tcpwhy ${report.version}. This page is complete: it loads nothing and runs nothing.</p></footer>
</body>
</html>
`;
  return head.text + style + body.text;
}

function finding(one: FindingReport, report: Report): Html {
  const { finding: found, number, host, elsewhere, translated, flows } = one;
  const process = processText(one);
  const several = isOfSeveral(report);
  const about = [
    `Seen ${times(found.count)}, ${span(one, report)}`,
    `on ${host}${netnsText(found)}`,
    ...(process === null ? [] : [`process ${process}`]),
    ...endTexts(found),
    basisText(found),
  ];
  return html`<article class="finding" id="finding-${number}" aria-labelledby="finding-${number}-title">
<header><h3 id="finding-${number}-title">${number}. ${capital(found.title)}</h3><span class="badge ${found.severity}">${SEVERITY_WORD[found.severity]}</span><span>${dot(report, found.cause)}<code>${found.cause}</code></span></header>
<p class="summary">${found.summary}</p>
<p class="about">${about.join('; ')}.</p>
${elsewhere.length > 0 ? html`<p>The same connections, seen from another host: ${elsewhere.map((n, at) => html`${at > 0 ? ', ' : ''}<a href="#finding-${n}">finding ${n}</a>`)}.</p>` : ''}
${translated.length > 0 ? html`<p>Translated on the way: ${translated.map(({ here, there, hosts }, nth) => html`${nth > 0 ? '; ' : ''}<code>${here}</code> here is <code>${there}</code> at ${hosts.join(' and ')}`)}.</p>` : ''}
<div class="columns"><div><h4>What to do</h4>
<ol class="advice">${found.advice.map((piece) => html`<li>${advice(piece)}</li>`)}</ol></div>
<div><h4>Evidence</h4>${evidence(one)}</div></div>
${one.ladder ? html`<h4>Sequence of events${flows.length > 1 ? ', on the newest connection' : ''}</h4>${ladder(one.ladder, `Sequence of events of finding ${number}`, several)}` : ''}
${flows.length > 1 ? connections(one) : ''}
</article>
`;
}

function advice(piece: string): Html[] {
  return adviceParts(piece).map((part) =>
    'command' in part ? html`<pre><code>${part.command}</code></pre>` : html`${part.words} `,
  );
}

function evidence({ finding: { evidence: shown } }: FindingReport): Html {
  const rows = evidenceRows(shown).map(
    ({ name, value, depth }) =>
      html`<tr><th scope="row"${depth > 0 ? html` style="padding-left:${depth * 1.2}rem"` : ''}>${name}</th><td class="mono">${value}</td></tr>
`,
  );
  return html`<table class="facts"><tbody>${rows}</tbody></table>`;
}

function connections({ flows }: FindingReport): Html {
  const shown = flows.slice(0, MAX_FLOWS);
  const more = flows.length > shown.length ? html`<li class="soft">and others</li>` : '';
  return html`<details><summary>Connections, newest first</summary><ul>${shown.map(
    ({ text, count }) =>
      html`<li class="mono">${text}${count > 1 ? ` (${times(count)})` : ''}</li>`,
  )}${more}</ul></details>`;
}

function others(report: Report): Html | string {
  const { rest, omitted } = report;
  if (rest.length === 0) return '';
  const rows = rest.map(
    (row) =>
      html`<tr><td class="number">${row.number}</td><td>${SEVERITY_WORD[row.finding.severity]}</td><th scope="row">${dot(report, row.finding.cause)}${row.finding.cause}</th><td class="number">${thousands(row.finding.count)}</td><td>${row.host}</td><td>${row.finding.summary}</td></tr>
`,
  );
  return html`<h3 id="others">The others</h3>
<div class="scroll" tabindex="0" role="region" aria-labelledby="others"><table><thead><tr><th scope="col" class="number">No.</th><th scope="col">Severity</th><th scope="col">Cause</th><th scope="col" class="number">Times</th><th scope="col">Host</th><th scope="col">What</th></tr></thead><tbody>
${rows}</tbody></table></div>
${omitted > 0 ? html`<p>${thousands(omitted)} more are not listed, so that this page stays of a size that can be sent; their causes and counts are in the timeline’s table. ${allOf(report)}.</p>` : ''}`;
}

function ends(caption: string, head: string, rows: readonly EndRow[], report: Report): Html {
  if (rows.length === 0) return html`<p>${caption}: none.</p>`;
  const body = rows.map(
    ({ text, count, causes }) =>
      html`<tr><th scope="row" class="mono">${text}</th><td class="number">${thousands(count)}</td><td>${causes.slice(0, 4).map(({ id, count: often }) => html`${dot(report, id)}${id} ${thousands(often)} &nbsp; `)}</td></tr>
`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr><th scope="col">${head}</th><th scope="col" class="number">Failures</th><th scope="col">Causes</th></tr></thead><tbody>
${body}</tbody></table></div>`;
}
