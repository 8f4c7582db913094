// SPDX-License-Identifier: Apache-2.0

import { clock, count, dateAndClock, rate } from '../format.ts';
import type { Glyphs } from './glyphs.ts';
import { cutLine, type Line, lineWidth, type Span, span, spread } from './lines.ts';
import type { ScreenModel } from './model.ts';

/** Whether the screen runs, stands still, or is over. */
function status(model: ScreenModel, still: boolean, glyphs: Glyphs): Line {
  const { playback } = model;
  const now: Span = model.ended
    ? span(' ENDED ', 'notice')
    : span(model.recording === null ? 'LIVE' : replayed(playback, glyphs), 'good');
  const paused = playback?.paused ?? still;
  if (!paused) return [now];
  return model.ended ? [span(' PAUSED ', 'notice'), now] : [span(' PAUSED ', 'notice')];
}

function replayed(playback: ScreenModel['playback'], glyphs: Glyphs): string {
  if (!playback) return 'REPLAY';
  const { speed, played } = playback;
  const times = speed === 1 ? '' : ` ${glyphs.times}${speed}`;
  return `REPLAY${times} ${Math.floor(100 * played)}%`;
}

interface Piece {
  spans: Span[];
  /** The lowest goes first where there is no room. */
  worth: number;
}

function joined(pieces: Piece[], glyphs: Glyphs): Line {
  return pieces.flatMap((piece, i) =>
    i === 0 ? piece.spans : [span(` ${glyphs.dot} `, 'dim'), ...piece.spans],
  );
}

function fitting(pieces: Piece[], width: number, glyphs: Glyphs): Line {
  let kept = pieces;
  while (kept.length > 1 && lineWidth(joined(kept, glyphs)) > width) {
    const least = Math.min(...kept.map((piece) => piece.worth));
    kept = kept.filter((piece) => piece.worth !== least);
  }
  return cutLine(joined(kept, glyphs), width, glyphs);
}

/** Two rows: where one is looking, and how much was seen, lost, left unexplained, or cannot be seen. */
export function headerLines(
  model: ScreenModel,
  paused: boolean,
  benign: boolean,
  width: number,
  glyphs: Glyphs,
): Line[] {
  const time = model.recording === null ? clock(model.now_ns) : dateAndClock(model.now_ns);
  const right = [span(`${time} UTC  `), ...status(model, paused, glyphs)];
  const left = fitting(
    [
      { spans: [span('tcpwhy', 'strong')], worth: 3 },
      { spans: [span(model.host, 'strong')], worth: 9 },
      ...(model.recording === null ? [] : [{ spans: [span(model.recording)], worth: 8 }]),
      { spans: [span(model.kernel)], worth: 2 },
      { spans: [span(model.tier)], worth: 1 },
      ...(model.target ? [{ spans: [span(`only ${model.target}`, 'info')], worth: 10 }] : []),
    ],
    width - lineWidth(right) - 1,
    glyphs,
  );
  const lost = model.lost > 0 ? span(` LOST ${count(model.lost)} `, 'alert') : span('0 lost');
  const blind = model.not_observable.length;
  const counts = fitting(
    [
      { spans: [span(rate(model.events_per_s).replace('/s', ' events/s'))], worth: 8 },
      { spans: [span(`${count(model.events)} in all`)], worth: 1 },
      { spans: [lost], worth: 10 },
      {
        spans: [
          span(
            `${count(model.unexplained)} unexplained`,
            model.unexplained > 0 ? 'strong' : 'plain',
          ),
        ],
        worth: 7,
      },
      { spans: [span(`${count(model.benign)} benign${benign ? '' : ' (a)'}`)], worth: 2 },
      ...(blind === 0
        ? []
        : [{ spans: [span(`${blind} not observable (?)`, 'warning')], worth: 9 }]),
    ],
    width,
    glyphs,
  );
  return [spread(left, right, width, glyphs), counts];
}
