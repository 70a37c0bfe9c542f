# SPDX-License-Identifier: Apache-2.0
"""The look of a feedback page: CSS, put into each page, which must stand alone."""

from __future__ import annotations

CSS = """
* { box-sizing: border-box; }
body { max-width: 860px; margin: 0 auto; padding: 24px 20px 80px; color: #1f2933; background: #fff;
  font: 16px/1.6 -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 26px; margin: 0 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 28px 0 8px; }
main h1 { font-size: 23px; margin-top: 32px; }
.anchor-link { display: none; }
a { color: #1a5fb4; }
.bar { height: 10px; border-radius: 5px; background: #e4e7eb; overflow: hidden; }
.bar div { height: 100%; background: #2f9e5f; }
.parts { list-style: none; display: flex; flex-wrap: wrap; gap: 6px; padding: 0; font-size: 14px; }
.parts li { padding: 2px 10px; border-radius: 12px; background: #e3f5ea; }
.parts li.wrong { background: #fdecea; }
.parts a { color: inherit; }
.warning { border-left: 4px solid #d9a400; background: #fff8e1; padding: 8px 14px;
  overflow-wrap: anywhere; }
.said { margin: 6px 0 28px; padding: 8px 14px; border-radius: 6px; border-left: 4px solid #2f9e5f;
  background: #f0faf4; overflow-wrap: anywhere; white-space: pre-wrap; }
.said.wrong { border-left-color: #c92a2a; background: #fdf1f0; }
.formula { vertical-align: middle; max-width: 100%; }
pre { margin: 0; padding: 8px 12px; overflow-x: auto; border-radius: 6px; background: #f5f7fa;
  font: 13px/1.5 Consolas, Menlo, "DejaVu Sans Mono", monospace; }
code { font-family: Consolas, Menlo, "DejaVu Sans Mono", monospace; font-size: 0.9em;
  background: #f5f7fa; padding: 1px 4px; border-radius: 3px; }
pre code { background: none; padding: 0; }
.prompt { display: none; }
.highlight { margin: 6px 0; }
.output_area pre { background: #fff; border: 1px solid #e4e7eb; margin: 6px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 420px; overflow-y: auto; }
.output_area img { max-width: 100%; }
.ansi-red-fg, .ansi-red-intense-fg { color: #c92a2a; }
.ansi-green-fg, .ansi-green-intense-fg { color: #1d7a46; }
.ansi-blue-fg, .ansi-blue-intense-fg, .ansi-cyan-fg { color: #1a5fb4; }
table { border-collapse: collapse; margin: 8px 0; }
th, td { border: 1px solid #e4e7eb; padding: 4px 10px; text-align: left; }
.ansi-bold { font-weight: bold; }
"""
