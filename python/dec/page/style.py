"""The page's style sheet."""

CSS = """
:root { --ink: #1f2933; --soft: #52606d; --line: #dde3ea; --back: #f4f6f8;
  --blue: #2f6db3; --red: #b8322a; color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  "DejaVu Sans", Arial, sans-serif; }
header, main, footer { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 8px; }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p { margin: 0 0 12px; max-width: 76ch; }
a { color: var(--blue); }
.soft, figcaption, footer { color: var(--soft); }
nav { margin: 14px 0 0; font-size: .92rem; }
nav a { display: inline-block; margin: 0 16px 4px 0; padding: 2px 0; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 22px 26px; margin: 18px 0; }
footer { padding-bottom: 40px; font-size: .88rem; }
figure { margin: 0; }
figcaption { font-size: .9rem; }
img { display: block; max-width: 100%; height: auto; }
.grid { display: grid; gap: 16px 22px; align-items: start; margin: 12px 0; }
.three { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.two { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.one img { margin: 12px auto; }
.cards { display: grid; gap: 12px; margin: 14px 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.card b { display: block; font-size: 1.4rem; line-height: 1.35; font-weight: 650;
  white-space: nowrap; }
.card span { display: block; font-size: .88rem; color: var(--soft); }
dl { margin: 12px 0 0; font-size: .94rem; }
dt { font-weight: 650; float: left; clear: left; margin-right: .5em; }
dd { margin: 0 0 4px; }
.scroll { overflow-x: auto; margin: 12px 0; }
.scroll:focus-visible { outline: 2px solid var(--blue); }
table { border-collapse: collapse; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 11px; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
thead th:first-child, thead th.text { text-align: left; }
thead th { border-bottom: 2px solid #b6c0cb; color: var(--soft); font-weight: 600; }
th[scope=row] { text-align: left; font-weight: 600; background: #fff;
  position: sticky; left: 0; }
td.own { background: #dcebf9; font-weight: 650; }
td.zero { color: #8793a0; }
td.text { text-align: left; }
td.bar { width: 100%; min-width: 90px; }
td.bar div { background: var(--blue); height: 10px; border-radius: 2px;
  min-width: 1px; }
.times tr:has(.part) th { font-weight: 400; }
td.part div { background: #9dbfe3; }
.clusters { display: grid; gap: 8px 30px;
  grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
.clusters h3 { margin: 10px 0 4px; font-size: .95rem; }
.clusters h3 span { font-weight: 400; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 4px;
  list-style: none; margin: 0; padding: 0; }
.tiles li { font-size: .72rem; line-height: 1.35; text-align: center;
  color: var(--soft); }
.tiles img { width: 100%; border: 2px solid transparent; border-radius: 3px; }
.tiles .bars { border-color: var(--line); border-width: 1px; }
.pixels { image-rendering: pixelated; }
.tiles .other img { border-color: var(--red); }
.tiles b { display: block; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; font-weight: 400; }
.tiles .other b { color: var(--red); font-weight: 700; }
.photos { grid-template-columns: repeat(5, minmax(0, 1fr)); }
.plain { grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); }
.plain li { border: 1px solid var(--line); border-radius: 4px; padding: 2px; }
.plain li.other { border-color: var(--red); }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 6px;
  padding: 10px 14px; margin: 10px 0; overflow-x: auto;
  font: .9rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
.note { border-left: 3px solid #d9a441; padding-left: 12px; }
@media (max-width: 760px) {
  .two, .three { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 520px) {
  header, main, footer { padding-left: 10px; padding-right: 10px; }
  header { padding-top: 20px; }
  h1 { font-size: 1.5rem; }
  section { padding: 14px 12px; margin: 12px 0; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .card { padding: 8px 10px; }
  .card b { font-size: 1.2rem; }
  .tiles { grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 6px; }
  .photos { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .plain { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  th, td { padding: 4px 7px; }
  .times th[scope=row] { white-space: normal; }
  td.bar { min-width: 40px; }
}
@media print { section { break-inside: avoid; } .scroll { overflow: visible; } }
"""
