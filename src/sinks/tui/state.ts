// SPDX-License-Identifier: Apache-2.0

import type { Glyphs } from './glyphs.ts';
import type { Size } from './layout.ts';
import type { FindingView, ScreenModel } from './model.ts';
import type { Sort } from './order.ts';

/** Everything that the screen shows: the view is a function of it. */
export interface State {
  model: ScreenModel;
  size: Size;
  glyphs: Glyphs;
  sort: Sort;
  filter: string;
  /** The filter is being typed. */
  typing: boolean;
  /** The model stands still while the source goes on. */
  paused: boolean;
  /** Benign findings are shown too. */
  benign: boolean;
  /** Id of the finding that was selected by hand: it stays selected wherever it moves. Null: whatever is first. */
  selected: string | null;
  /** Its place in the table, to stay near when it disappears. */
  index: number;
  /** Place of the first finding in sight. */
  top: number;
  /** The finding that is open, kept as last seen when the model no longer has it. */
  open: FindingView | null;
  /** First line in sight of the open finding. */
  scroll: number;
  /** First line in sight of the help, null while closed. */
  help: number | null;
  outcome: 'quit' | 'interrupt' | null;
}
