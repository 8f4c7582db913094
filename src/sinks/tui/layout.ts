// SPDX-License-Identifier: Apache-2.0

import { ROWS_PER_FINDING } from './table.ts';

export interface Size {
  columns: number;
  rows: number;
}

/** The smallest terminal on which everything has its place. */
export const COMFORTABLE: Size = { columns: 80, rows: 24 };
/** Below this nothing of use fits. */
const SMALLEST: Size = { columns: 40, rows: 10 };
/** From here on the selected finding is shown beside the table. */
const WIDE: Size = { columns: 160, rows: 24 };
const LARGEST = 500;

export interface Layout {
  columns: number;
  rows: number;
  tooSmall: boolean;
  cramped: boolean;
  /** Width of the table; with a preview, of the left part. */
  tableWidth: number;
  /** 0 without a preview beside the table. */
  previewWidth: number;
  /** Rows for findings, below the header, the line across, and the names of the columns. */
  tableHeight: number;
  /** Findings that fit. */
  page: number;
  /** Rows for text that scrolls: a finding, the help. */
  textHeight: number;
}

const atLeast = (size: Size, least: Size) =>
  size.columns >= least.columns && size.rows >= least.rows;

/** Where everything goes. Two rows of header, a line across, the body, one row of footer. */
export function layoutFor(given: Size): Layout {
  const size = {
    columns: Math.max(1, Math.min(LARGEST, Math.floor(given.columns) || COMFORTABLE.columns)),
    rows: Math.max(1, Math.min(LARGEST, Math.floor(given.rows) || COMFORTABLE.rows)),
  };
  const wide = atLeast(size, WIDE);
  const tableWidth = wide ? Math.min(110, Math.floor((size.columns - 3) * 0.48)) : size.columns;
  const textHeight = Math.max(1, size.rows - 4);
  const tableHeight = Math.max(ROWS_PER_FINDING, textHeight - 1);
  return {
    columns: size.columns,
    rows: size.rows,
    tooSmall: !atLeast(size, SMALLEST),
    cramped: !atLeast(size, COMFORTABLE),
    tableWidth,
    previewWidth: wide ? size.columns - tableWidth - 3 : 0,
    tableHeight,
    page: Math.max(1, Math.floor(tableHeight / ROWS_PER_FINDING)),
    textHeight,
  };
}
