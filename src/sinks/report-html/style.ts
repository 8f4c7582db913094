// SPDX-License-Identifier: Apache-2.0

/**
 * Colours hold WCAG AA against both backgrounds. Those of causes are told apart with any colour vision
 * (after Okabe and Ito, darker on light and lighter on dark), and never carry a meaning alone.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fcfcfb; --card: #ffffff; --ink: #1d2126; --soft: #545c66; --line: #dcdfe3; --code: #f1f3f5;
  --shade: #00000026; --error: #a8201a; --warning: #7a4d00; --info: #1f5f8f;
  --c0: #0069a8; --c1: #b84a00; --c2: #00785a; --c3: #9c4684; --c4: #2a7fb0; --c5: #8f6400; --c6: #5d656f; --c7: #6f6800;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1b1f24; --ink: #e6e8ea; --soft: #a5adb7; --line: #343b43; --code: #252b32;
    --shade: #000000a0; --error: #ff9189; --warning: #f2bb5c; --info: #84c1f0;
    --c0: #56b4e9; --c1: #ff9350; --c2: #3ccfa5; --c3: #e59ac8; --c4: #9ccdf2; --c5: #eab02e; --c6: #a5adb7; --c7: #e6dd55;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  overflow-wrap: anywhere;
}
header, main, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .8rem; padding-top: .4rem; }
h3 { font-size: 1.1rem; line-height: 1.35; margin: 0; }
h4 { font-size: .95rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--info); text-underline-offset: .15em; text-decoration-thickness: 1px; }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--info); outline-offset: 2px; border-radius: 2px; }
code, .mono, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: .875em; }
code { background: var(--code); border-radius: 3px; padding: .08em .3em; }
pre { margin: .35rem 0; padding: .55rem .8rem; background: var(--code); border-radius: 5px; white-space: pre-wrap; }
pre code { padding: 0; font-size: inherit; }
.soft { color: var(--soft); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: 1rem 0 0; }
.lead { font-size: 1.1rem; }
.happened { margin: .4rem 0 1rem; padding-left: 1.2rem; max-width: 46rem; }
.happened li { margin: .3rem 0; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .3rem .6rem; }

.chart { display: grid; grid-template-columns: minmax(9rem, 17rem) minmax(0, 1fr) auto; gap: .15rem .9rem; align-items: center; margin: 1rem 0 .3rem; }
.chart .lane { display: contents; }
.chart .name { grid-column: 1; }
.chart .times { grid-column: 3; }
.chart svg { grid-column: 2; width: 100%; height: 26px; display: block; border-bottom: 1px solid var(--line); }
.chart .times { text-align: right; font-variant-numeric: tabular-nums; }
.chart .axis { grid-column: 2; display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
${Array.from({ length: 8 }, (_, n) => `.c${n} { fill: var(--c${n}); background: var(--c${n}); }`).join('\n')}
.dot { display: inline-block; width: .65em; height: .65em; border-radius: 2px; margin-right: .45em; vertical-align: baseline; }

.badge { display: inline-block; font-size: .78rem; font-weight: 650; line-height: 1.5; padding: 0 .5em; border: 1px solid currentColor; border-radius: 99px; vertical-align: .1em; }
.error { color: var(--error); } .warning { color: var(--warning); } .info { color: var(--info); }

.finding { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1.2rem 1.4rem 1.3rem; margin: 1.1rem 0; }
.finding > header { max-width: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem .7rem; align-items: baseline; }
.finding .summary { font-size: 1.05rem; margin: .5rem 0 .3rem; max-width: none; }
.finding .about { margin: 0; color: var(--soft); font-size: .92rem; max-width: none; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 2.2rem; }
.advice { margin: 0; padding-left: 1.3rem; }
.advice li { margin: .35rem 0; }

table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding: .2rem 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 500; }
td.right { text-align: right; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts th { width: 42%; color: var(--soft); font-weight: 400; }
.scroll { overflow-x: auto; margin: .3rem 0 .8rem; }
.scroll table { min-width: 34rem; }
.scroll .mono, .scroll th { white-space: nowrap; }
.scroll, .ladder {
  background:
    linear-gradient(to right, var(--under) 60%, transparent) 0 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--under) 60%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) 0 0 / .7rem 100% no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / .7rem 100% no-repeat scroll;
}
body { --under: var(--paper); }
.finding { --under: var(--card); }
figure { margin: .4rem 0 0; }
.ladder { overflow-x: auto; }
.ladder svg { display: block; height: auto; }
.ladder text { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: var(--ink); }
.ladder .end { font-weight: 650; font-size: 13px; }
.ladder .small { font-size: 11.5px; fill: var(--soft); }
.ladder .rail { stroke: var(--soft); stroke-width: 1.5; }
.ladder .rail.unrecorded { stroke-dasharray: 2 5; }
.ladder .shaft { stroke: var(--ink); stroke-width: 1.4; fill: none; }
.ladder .tip { fill: var(--ink); }
.ladder .implied { stroke-dasharray: 5 4; }
.ladder .rst.shaft, .ladder .cross { stroke: var(--error); }
.ladder .rst.tip { fill: var(--error); }
.ladder text.dropped, .ladder text.reset { fill: var(--error); }
.ladder .cross { stroke-width: 2.4; }
.ladder text.said { font-size: 11.5px; }
.ladder text { paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
.ladder .dotmark { fill: var(--soft); }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--info); width: fit-content; }
dl.host { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem 1rem; margin: .4rem 0 1rem; }
dl.host dt { color: var(--soft); } dl.host dd { margin: 0; }
footer { margin-top: 3.5rem; padding-top: 1rem; padding-bottom: 3rem; color: var(--soft); font-size: .9rem; }

@media (max-width: 44rem) {
  header { padding-top: 1.5rem; }
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.5rem; }
  .columns { grid-template-columns: minmax(0, 1fr); }
  .finding { padding: 1rem; margin-left: -.25rem; margin-right: -.25rem; }
  .chart { display: block; }
  .chart .lane { display: grid; grid-template-columns: minmax(0, 1fr) auto; }
  .chart .times { grid-column: 2; }
  .chart svg { grid-column: 1 / -1; order: 1; margin-bottom: .45rem; }
  .chart .axis { font-size: .7rem; }
  dl.host { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dl.host dd { margin-bottom: .4rem; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --code: #f3f3f3; --error: #a8201a; --warning: #6d4500; --info: #17527d; }
  body { font-size: 10pt; }
  header, main, footer { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  .finding, figure, tr, .chart { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  a { color: inherit; text-decoration: none; }
  .ladder, .scroll { overflow: visible; background: none; }
  .ladder svg { max-width: 100%; }
  details::details-content { content-visibility: visible; height: auto; }
  summary { display: none; }
}
`;
