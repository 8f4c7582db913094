// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { html } from '../../../../src/sinks/report-html/html.ts';
import { reportHtml } from '../../../../src/sinks/report-html/page.ts';
import { code, fenced, md } from '../../../../src/sinks/report-md/escape.ts';
import { reportMarkdown } from '../../../../src/sinks/report-md/page.ts';
import { hostile, many, NAMES } from './hostile.ts';

describe('a page', () => {
  test('has no markup but its own', () => {
    const page = reportHtml(hostile());
    expect(page).not.toMatch(/<script|<img|\son\w+\s*=\s*[^"&]*pwned=1"?>/);
    expect(page).not.toContain('\u202e');
    expect(page).not.toContain('\u001b');
    expect(page).toContain('&lt;script&gt;pwned=1&lt;/script&gt;');
  });

  test('keeps what is in quotes in them', () => {
    expect(html`<a title="${"a\" b='c' <&>"}">`.text).toBe(
      '<a title="a&quot; b=&#39;c&#39; &lt;&amp;&gt;">',
    );
  });

  test('stays of a size that can be sent, whatever was found', () => {
    const page = reportHtml(many(1000));
    expect(page.length).toBeLessThan(1.5e6);
    expect(page).toContain('8,960 more are not listed');
    expect(page.match(/<article /g)).toHaveLength(40);
  });
});

describe('Markdown', () => {
  test.each(NAMES)('shows %j as it is', (name) => {
    expect(md(name).replace(/&#\d+;/g, '')).not.toMatch(/[<>@]|(?<!\\)[`*_[\]|#]|:\/\/|\n/);
  });

  test('cannot be left from within a code span or a fence', () => {
    expect(code('a `b` ``c``')).toBe('``` a `b` ``c`` ```');
    expect(code('a|b')).toBe('`a\\|b`');
  });

  test('has the rows and headings of its own only', () => {
    const text = reportMarkdown(hostile());
    const lines = text.split('\n');
    expect(lines.filter((line) => /^# /.test(line))).toHaveLength(1);
    const outside = text
      .replace(/^(`{3,})[\s\S]*?^\1$/gm, '')
      .replace(/(`+)[^\n]*?[^`]\1(?!`)/g, '');
    expect(outside).not.toMatch(/[<@]/);
    expect(text).not.toContain('\u001b');
    for (const block of tables(lines)) {
      const cells = block.map((line) => line.split(/(?<!\\)\|/).length);
      expect(new Set(cells).size).toBe(1);
    }
    expect(fenced(['```', 'x'])[0]).toBe('````');
  });
});

function tables(lines: string[]): string[][] {
  const blocks: string[][] = [];
  lines.forEach((line, at) => {
    if (!line.startsWith('|')) return;
    if (lines[at - 1]?.startsWith('|')) blocks.at(-1)?.push(line);
    else blocks.push([line]);
  });
  return blocks;
}
