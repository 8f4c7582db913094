// SPDX-License-Identifier: Apache-2.0

import type { Ladder, NoteRung, Rung, SegmentRung, Verdict } from '../../report/model.ts';
import { rungTime, segmentText } from '../report-text.ts';
import { wrap } from '../wrap.ts';
import { type Html, html } from './html.ts';

const TIME_WIDTH = 118;
const MARGIN = 14;
const CHARACTER = 7.55;
const SMALL = 6.95;
/** A segment's text has to fit; two ends have more room. */
const LEAST_GAP = 345;
const LEAST_GAP_OF_TWO = 440;
const TIP = 8;
const LINE = 15;

interface Drawing {
  /** Where the ends' lines are. */
  x: number[];
  width: number;
  severalHosts: boolean;
}

/** The sequence of events as lines of the ends and arrows between them, and the same as a table. */
export function ladder(drawn: Ladder, name: string, severalHosts: boolean): Html {
  const drawing = layout(drawn, severalHosts);
  const rungs: Html[] = [];
  const heads = headLines(drawn, severalHosts);
  const top = 14 + Math.max(...heads.map(({ length }) => length)) * 16;
  let y = top + 8;
  drawn.rungs.forEach((rung, at) => {
    if (drawn.skipped?.after === at) {
      rungs.push(
        html`<text class="small" x="0" y="${y + 18}">… ${drawn.skipped.count} more …</text>`,
      );
      y += 34;
    }
    const { markup, height } =
      rung.kind === 'note' ? drawNote(rung, y, drawing) : drawSegment(rung, y, drawing);
    rungs.push(markup);
    y += height;
  });
  const height = y + 10;
  const rails = drawn.ends.map((end, at) => {
    const x = drawing.x[at] ?? 0;
    const [name, ...rest] = heads[at] ?? [];
    return html`<line class="rail${end.host === null ? ' unrecorded' : ''}" x1="${x}" x2="${x}" y1="${top - 8}" y2="${height - 4}"/>
<text class="end" x="${x}" y="14" text-anchor="middle">${name ?? ''}</text>${rest.map((text, line) => html`<text class="small" x="${x}" y="${30 + 16 * line}" text-anchor="middle">${text}</text>`)}`;
  });
  return html`<figure><div class="ladder" tabindex="0" role="region" aria-label="${name}">
<svg role="img" aria-label="${name}; the table below has the same" width="${drawing.width}" height="${height}" viewBox="0 0 ${drawing.width} ${height}">
${rails}
${rungs}
</svg></div>
${asTable(drawn, name)}</figure>`;
}

/** How all ladders of a page are to be read. */
export const LEGEND =
  'In the sequences of events, an arrow is a segment, from the end that sent it to the end that it reached; ✕ is where it was dropped. Dashed: not seen itself, but known from what the kernel did. Only what has to do with a failure is recorded, so that other segments are missing.';

function headLines({ ends }: Ladder, severalHosts: boolean): string[][] {
  return ends.map(({ text, host, process }) => [
    text,
    ...(host === null ? ['not recorded'] : severalHosts ? [`on ${host}`] : []),
    ...(process === null ? [] : [process]),
  ]);
}

function layout({ ends }: Ladder, severalHosts: boolean): Drawing {
  const widths = ends.map(({ text, process }) =>
    Math.max(text.length * (CHARACTER + 0.3), (process?.length ?? 0) * SMALL),
  );
  const half = (at: number) => (widths[at] ?? 0) / 2;
  const gap = ends.length > 2 ? LEAST_GAP : LEAST_GAP_OF_TWO;
  const x: number[] = [];
  ends.forEach((_, at) => {
    const before = x[at - 1];
    x.push(
      before === undefined
        ? Math.round(TIME_WIDTH + Math.max(MARGIN, half(0) - 30))
        : Math.round(before + Math.max(gap, half(at - 1) + half(at) + 2 * MARGIN)),
    );
  });
  const last = x.length - 1;
  const room = ends.length === 1 ? LEAST_GAP : Math.max(MARGIN, half(last));
  return { x, width: Math.ceil((x[last] ?? 0) + room + 4), severalHosts };
}

function drawSegment(rung: SegmentRung, y: number, drawing: Drawing) {
  const [from, to] = [drawing.x[rung.from] ?? 0, drawing.x[rung.to] ?? 0];
  const right = to >= from;
  const middle = (from + to) / 2;
  const line = y + 22;
  const kind = `${rung.flags?.includes('R') ? 'rst ' : ''}${rung.seen ? '' : 'implied '}`;
  const stop = rung.verdicts.find(({ mark }) => mark === 'dropped');
  const side = right ? 1 : -1;
  const end = stop ? (stop.at === 'sent' ? from + side * 46 : to - side * 22) : to;
  const verdicts = rung.verdicts.flatMap((verdict) =>
    wrap(verdictText(verdict, drawing), '', '', columns(Math.abs(to - from) - 24)).map((text) => ({
      text,
      verdict,
    })),
  );
  const said = verdicts.map(({ text, verdict }, at) => {
    const near = verdict.at === 'received' ? to : from;
    const atRight = near === Math.max(from, to);
    return html`<text class="said ${verdict.mark ?? ''}" x="${atRight ? near - 12 : near + 12}" y="${line + 16 + at * LINE}" text-anchor="${atRight ? 'end' : 'start'}">${text}</text>`;
  });
  return {
    markup: html`<text class="small" x="0" y="${line + 4}">${rungTime(rung)}</text>
<text x="${middle}" y="${line - 7}" text-anchor="middle">${segmentText(rung)}</text>
<path class="${kind}shaft" d="M${from} ${line}H${stop ? end : to - side * TIP}"/>${stop ? cross(end, line) : tip(to, line, side, kind)}${said}
`,
    height: 40 + verdicts.length * LINE,
  };
}

function tip(x: number, y: number, side: number, kind: string): Html {
  const back = x - side * (TIP + 1);
  return html`<path class="${kind}tip" d="M${x} ${y}L${back} ${y - 4.5}V${y + 4.5}Z"/>`;
}

function cross(x: number, y: number): Html {
  return html`<path class="cross" d="M${x - 6} ${y - 6}l12 12m0 -12l-12 12"/>`;
}

function drawNote(rung: NoteRung, y: number, drawing: Drawing) {
  const x = drawing.x[rung.at] ?? 0;
  const next = drawing.x[rung.at + 1];
  const before = drawing.x[rung.at - 1];
  // Towards the side that has room.
  const left = next === undefined && before !== undefined;
  const room = Math.abs((left ? before : (next ?? drawing.width)) - x) - 24;
  const where = drawing.severalHosts ? ` (${rung.host})` : '';
  const lines = wrap(`${rung.text}${where}`, '', '', columns(room));
  const texts = lines.map(
    (text, at) =>
      html`<text class="said" x="${left ? x - 12 : x + 12}" y="${y + 18 + at * LINE}" text-anchor="${left ? 'end' : 'start'}">${text}</text>`,
  );
  return {
    markup: html`<text class="small" x="0" y="${y + 18}">${rungTime(rung)}</text><circle class="dotmark" cx="${x}" cy="${y + 14}" r="4.5"/>${texts}
`,
    height: 16 + lines.length * LINE,
  };
}

/** Characters of small text. */
const columns = (width: number) => Math.max(20, Math.floor(width / SMALL));

function verdictText({ host, text }: Verdict, { severalHosts }: Drawing): string {
  return severalHosts ? `${text} (${host})` : text;
}

function asTable({ ends, rungs }: Ladder, name: string): Html {
  const row = (rung: Rung) => {
    const end = (at: number) => ends[at]?.text ?? '';
    if (rung.kind === 'note') {
      return html`<tr><th scope="row">${rungTime(rung)}</th><td class="mono">${end(rung.at)}</td><td></td><td>${rung.text}</td><td>${rung.host}</td></tr>
`;
    }
    const hosts = [...new Set([...rung.sent_by, ...rung.received_by])];
    return html`<tr><th scope="row">${rungTime(rung)}</th><td class="mono">${end(rung.from)}</td><td class="mono">${end(rung.to)}</td><td><span class="mono">${segmentText(rung)}</span>${rung.verdicts.map(({ text }) => html`<br>${text}`)}</td><td>${hosts.join(', ')}</td></tr>
`;
  };
  return html`<details><summary>The same as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="${name}, as a table"><table><caption>${name}</caption>
<thead><tr><th scope="col">Time</th><th scope="col">From</th><th scope="col">To</th><th scope="col">What</th><th scope="col">Seen on</th></tr></thead><tbody>
${rungs.map(row)}</tbody></table></div></details>`;
}
