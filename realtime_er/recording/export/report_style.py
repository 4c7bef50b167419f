"""The report's looks: light and dark by the reader's setting, light on paper."""

STYLE = """
:root { --paper: #ffffff; --card: #f6f7f8; --ink: #1d2329; --soft: #5d6770; --rule: #dfe3e6;
        --absent: #e6e9ec; --gap: #f2c9c2; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --card: #1d2226; --ink: #e8ebed; --soft: #9aa5ae; --rule: #333a40;
          --absent: #2b3136; --gap: #5c2f29; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 32px 48px; max-width: 1200px; background: var(--paper);
       color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial,
       "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 26px; overflow-wrap: anywhere; }
h2 { margin: 36px 0 10px; font-size: 18px; }
h3 { margin: 18px 0 6px; font-size: 15px; }
p { margin: 6px 0; max-width: 78ch; }
.soft { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px;
         margin: 18px 0; }
.facts div { background: var(--card); border-radius: 8px; padding: 10px 12px; }
.facts b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: 13px; }
.bad { border-left: 4px solid #D55E00; padding: 4px 12px; background: var(--card); }
table { border-collapse: collapse; margin: 8px 0; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; }
th, td { padding: 3px 18px 3px 0; border-bottom: 1px solid var(--rule); vertical-align: top;
         overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; }
.bar { display: inline-block; height: 11px; border-radius: 2px; vertical-align: -1px; min-width: 1px; }
.chip { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 7px;
        vertical-align: -1px; background: var(--absent); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 0 40px; }
.note { white-space: pre-wrap; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11.5px; font-family: inherit; fill: var(--ink); }
svg text.soft { fill: var(--soft); }
svg text.on { fill: #10161b; }
svg .bidi { unicode-bidi: plaintext; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg.spark { width: 200px; color: var(--ink); }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
@media print {
  body { padding: 0; max-width: none; font-size: 11px; print-color-adjust: exact;
         -webkit-print-color-adjust: exact; }
  h2, h3, thead { break-after: avoid; } svg, tr, .facts { break-inside: avoid; }
}
"""
