# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the page of a report looks. Colours of results and of steps are apart; text on them keeps a contrast of 4.5 in light and dark."""

from __future__ import annotations

STYLE = """
:root{--ground:#fff;--card:#f6f7f9;--text:#1d2430;--quiet:#5b6472;--rule:#dfe3e8;
--succeeded:#1a7f4b;--failed:#c0262d;--canceled:#9a6200;--running:#1f6fc4;--pending:#69727f;
--prepare:#b4bcc8;--allocate:#9ccbe8;--copy:#3d8fd1;--cutover:#1d5c99;--convert:#8d7bc9;--create:#4fae9b;--hook:#d3a94c;--other:#8a93a0}
@media (prefers-color-scheme:dark){:root{--ground:#14181e;--card:#1c222a;--text:#e4e8ee;--quiet:#9aa5b4;--rule:#2d3540;
--succeeded:#4cc38a;--failed:#ff7b7f;--canceled:#e5ac4d;--running:#6cb2f5;--pending:#9aa5b4;
--prepare:#596473;--allocate:#3f6f8f;--copy:#3f8fd6;--cutover:#7fbcf0;--convert:#8f7fd0;--create:#3f9a88;--hook:#b98f38;--other:#737d8a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:2rem 1.5rem 4rem;max-width:84rem;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;font-weight:600;line-height:1.25;margin:0}
h2{font-size:1.15rem;font-weight:600;margin:2.5rem 0 .5rem}
h3{font-size:.95rem;font-weight:600;margin:1.5rem 0 .35rem}
p{margin:.25rem 0}
.quiet{color:var(--quiet);font-weight:400}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.n,.tiles dd,.axis{font-variant-numeric:tabular-nums}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr));gap:.75rem;margin:.75rem 0}
.tiles div{background:var(--card);border-radius:8px;padding:.6rem .9rem}
.tiles dt{color:var(--quiet);font-size:.82rem}
.tiles dd{margin:0;font-size:1.45rem;font-weight:600;line-height:1.3;white-space:nowrap}
.tiles .succeeded dd{color:var(--succeeded)}.tiles .failed dd{color:var(--failed)}.tiles .canceled dd{color:var(--canceled)}
.tiles .running dd{color:var(--running)}.tiles .none dd{color:var(--quiet);font-weight:400}
.shares{display:block;width:100%;height:8px;border-radius:4px}
.badge{font-size:.82rem;font-weight:600;white-space:nowrap;color:var(--pending)}
.badge::before{content:"";display:inline-block;width:.6em;height:.6em;border-radius:50%;background:currentColor;margin-right:.4em}
.badge.succeeded{color:var(--succeeded)}.badge.failed{color:var(--failed)}.badge.canceled{color:var(--canceled)}.badge.running{color:var(--running)}
rect.succeeded{fill:var(--succeeded)}rect.failed{fill:var(--failed)}rect.canceled{fill:var(--canceled)}
rect.running{fill:var(--running)}rect.pending{fill:var(--pending)}
rect.prepare{fill:var(--prepare)}rect.allocate{fill:var(--allocate)}rect.copy{fill:var(--copy)}rect.cutover{fill:var(--cutover)}
rect.convert{fill:var(--convert)}rect.create{fill:var(--create)}rect.hook{fill:var(--hook)}rect.other{fill:var(--other)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.75rem 0;padding:0;font-size:.82rem;color:var(--quiet)}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.45em;vertical-align:-.05em}
i.prepare{background:var(--prepare)}i.allocate{background:var(--allocate)}i.copy{background:var(--copy)}i.cutover{background:var(--cutover)}
i.convert{background:var(--convert)}i.create{background:var(--create)}i.hook{background:var(--hook)}i.other{background:var(--other)}
i.failed{background:var(--failed)}
.plans{list-style:none;margin:1rem 0 0;padding:0;display:grid;gap:.25rem;font-size:.9rem}
.plans li{display:flex;flex-wrap:wrap;gap:0 .75rem;align-items:baseline}
a{color:var(--running)}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;color:var(--quiet);font-size:.82rem;padding:.25rem 0}
th,td{padding:.35rem .75rem .35rem 0;text-align:left;font-weight:400;vertical-align:top;border-bottom:1px solid var(--rule)}
thead th{color:var(--quiet);font-size:.82rem;vertical-align:bottom}
.n{text-align:right;white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
.vms{width:100%;table-layout:fixed}
.vms thead th:nth-child(1){width:19%}.vms thead th:nth-child(2){width:15%}
.vms thead th.n{width:5.2rem}.vms thead th.n:nth-child(5){width:6rem}
.vms thead th{position:sticky;top:0;background:var(--ground)}
.vms tbody th{font-weight:500}
.vms .step{display:block;font-size:.82rem}
td.line svg{display:block;width:100%;height:14px;margin-top:.25rem}
.axis{display:block;position:relative;height:1.2em}
.axis span{position:absolute;bottom:0;border-left:1px solid var(--rule);padding-left:.25em;white-space:nowrap}
.conditions{list-style:none;padding:0;margin:.25rem 0;font-size:.9rem}
.conditions li{padding:.3rem 0 .3rem .75rem;border-left:3px solid var(--rule);margin-bottom:.25rem}
.conditions b{font-weight:600}
.conditions .bad{border-color:var(--failed)}.conditions .warn{border-color:var(--canceled)}
article{border-left:3px solid var(--failed);padding:.1rem 0 .1rem .9rem;margin:1rem 0}
article h3{margin:0}
article b{font-weight:600}
article.remark{border-color:var(--rule)}
summary{cursor:pointer;color:var(--quiet);font-size:.9rem}
pre{background:var(--card);border-radius:6px;padding:.75rem;margin:.5rem 0;overflow:auto;max-height:24rem;
font:.8rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre-wrap}
@media (max-width:52rem){
body{padding:1.25rem 1rem 3rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(5.6rem,1fr));gap:.5rem}.tiles dd{font-size:1.2rem}.tiles div{padding:.5rem .7rem}
.vms,.vms tbody,.vms caption{display:block}.vms thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.vms tbody tr{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.1rem .9rem;
padding:.6rem 0;border-bottom:1px solid var(--rule)}
.vms tbody th,.vms tbody td{border:0;padding:0}
.vms tbody th{grid-column:1/3}.vms tbody td:nth-child(2){grid-column:3/5;text-align:right}
.vms tbody td.line{grid-column:1/-1;padding:.15rem 0 .3rem}
.vms tbody td.n{text-align:left;font-size:.82rem}
.vms tbody td.n::before{content:attr(data-name);display:block;color:var(--quiet)}
.steps{width:100%}.steps th:last-child,.steps td:last-child{display:none}
}
@media print{body{max-width:none;padding:0}tr,article{break-inside:avoid}}
"""
