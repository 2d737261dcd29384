//! The colours and the layout of the page, in light, in the dark, on a phone and on paper.

/// What pictures need: also in a file of their own.
pub(super) const OF_PICTURES: &str = "\
:root{--bg:#fff;--fg:#1c2127;--soft:#5a6672;--rule:#e3e7ec;--box:#9aa5b1;--right:#7f9cc0;--other:#3c6db0;--teacher:#0d7f5f;--student:#cf4a12;\
--lack:#1f5fd6;--excess:#b3146d;--bar:#7f93a8;--s0:#0d7f5f;--s1:#5aa02c;--s2:#cf4a12;--s3:#7a4fb5}\
@media (prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6e9ed;--soft:#9fabb8;--rule:#2a3038;--box:#5d6873;--right:#5f7fa8;--other:#82aee8;\
--teacher:#3fc79b;--student:#ff8a52;--lack:#6f9dff;--excess:#ff6fb5;--bar:#8598ac;--s0:#3fc79b;--s1:#9ad36a;--s2:#ff8a52;--s3:#b99aec}}\
@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--rule:#ddd;--box:#888;--right:#7f9cc0;--other:#3c6db0;--teacher:#0d7f5f;--student:#cf4a12;\
--lack:#1f5fd6;--excess:#b3146d;--bar:#7f93a8;--s0:#0d7f5f;--s1:#5aa02c;--s2:#cf4a12;--s3:#7a4fb5}}\
svg text{font:11px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:var(--soft)}svg .label{font-size:12px;fill:var(--fg)}\
.tick,.box{stroke:var(--box);fill:none;stroke-width:1}.rule{stroke:var(--rule);fill:none}\
.fill{fill:var(--right);stroke:none}.fill.r0{fill-opacity:.55}.fill.r1{fill-opacity:.35}\
.ring{fill:none;stroke:var(--fg);stroke-width:1.6;stroke-linejoin:round}.ring.r0{stroke-width:1.1}\
.independent.ring{stroke:var(--other);stroke-dasharray:1 3}.teacher.ring{stroke:var(--teacher);stroke-dasharray:6 3}.student.ring{stroke:var(--student)}\
.lack{fill:var(--lack);fill-opacity:.5;stroke:none}.excess{fill:var(--excess);fill-opacity:.4;stroke:none}\
.bar{fill:var(--bar)}.tail{fill:var(--student)}.curve{fill:none;stroke:var(--fg);stroke-width:1.4}\
.loss{stroke:var(--other);stroke-width:1.2}.validation{stroke:var(--student);stroke-dasharray:5 3}.ess{stroke:var(--teacher);stroke-width:1.2}\
.layer{fill-opacity:.16;stroke:var(--rule);stroke-width:.4}.layer.target{fill:var(--other)}.layer.teacher{fill:var(--teacher)}.layer.student{fill:var(--student)}\
.s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:6 3}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.dot{stroke:none}\
.dot.s0{fill:var(--s0)}.dot.s1{fill:var(--s1)}.dot.s2{fill:var(--s2)}.dot.s3{fill:var(--s3)}.dot.validation{fill:var(--student)}";

/// What the page needs besides.
pub(super) const OF_THE_PAGE: &str = "\
:root{color-scheme:light dark;--good:#0b7a4b;--fair:#9a6a00;--bad:#b3261e;--code:#f2f4f7}\
@media (prefers-color-scheme:dark){:root{--good:#4ad295;--fair:#f0b94a;--bad:#ff8a80;--code:#1e242b}}\
@media print{:root{color-scheme:light;--good:#0b7a4b;--fair:#9a6a00;--bad:#b3261e;--code:#f2f4f7}}\
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\
body{margin:0 auto;max-width:1120px;padding:16px;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,'Segoe UI',Helvetica,Arial,sans-serif;overflow-wrap:break-word}\
h1{font-size:1.25rem;margin:.3em 0;color:var(--soft);font-weight:600}h2{font-size:1.2rem;margin:1.8em 0 .5em}h3{font-size:1rem;margin:1.2em 0 .3em}\
.verdict{border-left:8px solid var(--fair);padding:.2em 0 .2em .8em}.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}\
.verdict strong{font-size:1.9rem;line-height:1.2;display:block;color:var(--fair)}.verdict.good strong{color:var(--good)}.verdict.bad strong{color:var(--bad)}\
.verdict p{margin:.2em 0;font-size:1.1rem}ul{padding-left:1.3em;margin:.5em 0}li{margin:.2em 0}\
.soft,figcaption,.about{color:var(--soft)}.about{font-size:.9rem}\
pre{background:var(--code);padding:.6em .8em;border-radius:4px;overflow-x:auto;white-space:pre-wrap;margin:.3em 0 .8em}\
pre span{white-space:nowrap}code{font:.9em ui-monospace,Menlo,Consolas,monospace}\
.wide{overflow-x:auto;margin:.6em 0}table{border-collapse:collapse;font-size:.92rem}th,td{padding:.25em .7em;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}\
thead th{border-bottom:2px solid var(--box)}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.parameters th[scope]{font-weight:500}\
figure{margin:.8em 0}figcaption{font-size:.9rem;margin-top:.3em;max-width:75ch}figure svg{max-width:100%;height:auto;display:block}\
.many{display:flex;flex-wrap:wrap;gap:10px 26px}.many figure{flex:0 1 auto;max-width:345px;margin:.3em 0}.many h3{margin:.2em 0}\
.scroll{overflow-x:auto}.scroll svg{min-width:var(--least);}\
.keys{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:.9rem;padding:0;margin:.3em 0;list-style:none}.keys svg{display:inline-block;vertical-align:middle;margin-right:6px}\
details{border-top:1px solid var(--rule);padding:.4em 0}summary{cursor:pointer;font-weight:600}\
@media (max-width:600px){body{padding:10px}.verdict strong{font-size:1.6rem}table{font-size:.82rem}th,td{padding:.25em .3em}.many figure{max-width:100%;width:100%}}\
@media print{body{max-width:none;padding:0;font-size:11pt}figure,tr,.verdict{break-inside:avoid}h2,h3,.keys,.keys+.soft,summary{break-after:avoid}\
pre span{white-space:pre-wrap}.many,.keys{display:block}.keys li{display:inline-block;margin-right:18px}.many figure{display:inline-block;vertical-align:top;margin-right:16px}\
details::details-content{content-visibility:visible;block-size:auto}.scroll svg{max-height:17cm;width:auto}.scroll,.wide{overflow:visible}.scroll svg{min-width:0}}";
