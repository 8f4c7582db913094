// SPDX-License-Identifier: Apache-2.0

import { Box, Text, type TextProps } from 'ink';
import type { Line, Style } from './lines.ts';

type Look = Pick<TextProps, 'color' | 'backgroundColor' | 'bold' | 'dimColor' | 'inverse'>;

const LOOKS: Record<Style, Look> = {
  plain: {},
  strong: { bold: true },
  dim: { dimColor: true },
  error: { color: 'red', bold: true },
  warning: { color: 'yellow', bold: true },
  info: { color: 'cyan' },
  good: { color: 'green' },
  selected: { inverse: true, bold: true },
  alert: { color: 'white', backgroundColor: 'red', bold: true },
  notice: { color: 'black', backgroundColor: 'yellow', bold: true },
};

export interface RowsProps {
  lines: readonly Line[];
  width: number;
  /** Rows taken on the screen whatever the number of lines. */
  height?: number;
  color: boolean;
}

/** Lines on the screen, one row each. Without colour no escape code is written: the text alone says everything. */
export function Rows({ lines, width, height = lines.length, color }: RowsProps) {
  const rows = lines.slice(0, height).map((line, row) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its place
    <Text key={row} wrap="truncate">
      {line.length === 0
        ? ' '
        : line.map((part, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: as above
            <Text key={i} {...(color ? LOOKS[part.style] : {})}>
              {part.text}
            </Text>
          ))}
    </Text>
  ));
  return (
    <Box flexDirection="column" width={width} height={height} overflow="hidden">
      {rows}
    </Box>
  );
}
