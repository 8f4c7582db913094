// SPDX-License-Identifier: Apache-2.0
/// <reference lib="dom" />

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reportHtml } from '../../src/sinks/report-html/page.ts';
import { ofManyHosts } from '../unit/report/of-told.ts';
import { hostile, many } from '../unit/sinks/report/hostile.ts';
import { RECORDINGS, tcpwhy } from './run.ts';

/** Debian's. */
const CHROMIUM = '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = { phone: 390, desktop: 1280 };
const SCHEMES = ['light', 'dark'] as const;

const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-page-'));
const file = (name: string) => join(folder, `${name}.html`);
const VIEWS = Object.keys(WIDTHS).flatMap((size) =>
  SCHEMES.map((scheme) => ({ size: size as keyof typeof WIDTHS, scheme })),
);
const PAGES = ['demo', 'two-hosts', 'hostile', 'many', 'told'];

const has = existsSync(CHROMIUM);
if (!has) process.stderr.write(`skipped: no ${CHROMIUM}: install the package chromium\n`);

describe.skipIf(!has)('the page in a browser', () => {
  let browser: Browser;

  beforeAll(async () => {
    const recordings = {
      demo: ['demo.tcpwhy'],
      'two-hosts': ['two-hosts/client.tcpwhy', 'two-hosts/server.tcpwhy'],
    };
    for (const [name, files] of Object.entries(recordings)) {
      const paths = files.map((path) => join(RECORDINGS, path));
      expect(tcpwhy('report', ...paths, '-o', file(name)).status).toBe(0);
    }
    writeFileSync(file('hostile'), reportHtml(hostile()));
    writeFileSync(file('many'), reportHtml(many(60)));
    writeFileSync(file('told'), reportHtml(ofManyHosts()));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  describe.each(PAGES)('%s', (name) => {
    test.each(VIEWS)('$size, $scheme', { timeout: 60_000 }, async ({ size, scheme }) => {
      const viewport = { width: WIDTHS[size], height: 844 };
      const context = await browser.newContext({ viewport, colorScheme: scheme, bypassCSP: true });
      try {
        const page = await context.newPage();
        const said: string[] = [];
        const asked: string[] = [];
        page.on('console', (message) => said.push(message.text()));
        page.on('pageerror', (error) => said.push(error.message));
        page.on('dialog', (dialog) => said.push(`a dialog: ${dialog.message()}`));
        page.on('request', (request) => asked.push(request.url()));
        await page.goto(`file://${file(name)}`);
        expect(said).toEqual([]);
        expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([`file://${file(name)}`]);
        expect(await wider(page)).toEqual([]);
        await page.evaluate(openAll);
        expect(await wider(page)).toEqual([]);
        // Its rules look at the same markup at every width.
        if (size === 'desktop') expect(await accessibility(page)).toEqual([]);
        expect(await faint(page)).toEqual([]);
      } finally {
        await context.close();
      }
    });
  });

  test('has each command of advice in a block of its own', async () => {
    const page = await browser.newPage();
    await page.goto(`file://${file('demo')}`);
    const blocks = await page.locator('.advice pre code').allTextContents();
    expect(blocks).toContain("ss -ltnp 'sport = :8080'");
    expect(blocks).toContain('conntrack -L -f ipv6 -p tcp -s 2001:db8:13::13 -d 2001:db8:26::11');
    expect(await page.locator('.advice').allTextContents()).not.toContain(
      expect.stringMatching('`'),
    );
    await page.close();
  });

  test('runs nothing that a name brings along, also without its policy', async () => {
    const page = await browser.newPage({ bypassCSP: true });
    await page.goto(`file://${file('hostile')}`);
    const found = await page.evaluate(() => ({
      scripts: document.querySelectorAll('script, img, iframe, object, [onerror], [onload]').length,
      links: [...document.querySelectorAll('a')].map((a) => a.getAttribute('href') ?? ''),
      shown: document.body.textContent,
      ran: 'pwned' in globalThis,
    }));
    expect(found.scripts).toBe(0);
    expect(found.ran).toBe(false);
    expect(found.links.filter((href) => !href.startsWith('#'))).toEqual([]);
    expect(found.shown).toContain('<script>pwned=1</script>');
    await page.close();
  });
});

function openAll(): void {
  for (const details of document.querySelectorAll('details')) details.open = true;
}

/** What reaches beyond the window, or is cut off by it. */
function wider(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth > clientWidth ? [`the page is ${scrollWidth - clientWidth} px wider`] : [];
  });
}

/** Rules of axe-core that are broken: WCAG A and AA, headings, landmarks, tables. */
async function accessibility(page: Page): Promise<string[]> {
  await page.addScriptTag({ content: AXE });
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    const bare = [...document.querySelectorAll('th:not([scope])')].map((th) => th.outerHTML);
    if (bare.length > 0) return bare;
    return violations.map(({ id, nodes }) => `${id}: ${nodes.length} × ${nodes[0]?.html}`);
  });
}

/** Texts of drawings with less contrast than 4.5, and their lines and bars with less than 3. */
function faint(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const luminance = (color: string) => {
      const [r = 0, g = 0, b = 0] = channels(color).map((channel) => {
        const c = channel / 255;
        return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const backgroundOf = (element: Element | null): string => {
      if (!element) return 'rgb(255, 255, 255)';
      const { backgroundColor } = getComputedStyle(element);
      return channels(backgroundColor)[3] === 0
        ? backgroundOf(element.parentElement)
        : backgroundColor;
    };
    const contrast = (color: string, element: Element) => {
      const [a, b] = [luminance(color), luminance(backgroundOf(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    return [
      ...document.querySelectorAll('svg text, svg rect, svg path, svg line, svg circle, .dot'),
    ]
      .flatMap((element) => {
        const style = getComputedStyle(element);
        const text = element.tagName === 'text';
        const html = element.classList.contains('dot');
        const drawn = style.fill !== 'none' && !/^(path|line)$/.test(element.tagName);
        const color = html
          ? style.backgroundColor
          : drawn || style.stroke === 'none'
            ? style.fill
            : style.stroke;
        const place = html ? element.parentElement : element.closest('svg')?.parentElement;
        const ratio = place ? contrast(color, place) : 0;
        const least = text ? 4.5 : 3;
        return ratio < least ? [`${element.outerHTML.slice(0, 80)}: ${ratio.toFixed(2)}`] : [];
      })
      .slice(0, 5);
  });
}
