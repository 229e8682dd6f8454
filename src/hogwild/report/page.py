"""The page around tables and plots: no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from html import escape

from hogwild.data.files import write_whole
from hogwild.report.parts import Chapter, Code, Part, Table, Text
from hogwild.report.plots import draw
from hogwild.report.words import shortened, visible

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 44rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3, p, table:not(.numbers) td { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h2.chapter { font-size: 1.35rem; margin-top: 3rem; border-bottom: 2px solid #222; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h2, h3, p { overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: .75rem; overflow-x: auto; font-size: .85rem; }
.note { color: #555; font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd;
  max-width: 24rem; overflow-wrap: break-word; }
thead th, thead td { border-bottom-color: #666; }
tbody th { font-weight: normal; color: #555; }
table.facts td { overflow-wrap: anywhere; }
table.numbers td, table.numbers thead th:not(:first-child) { text-align: right; padding-left: .75rem; }
table.numbers td.words, table.numbers thead th.words { text-align: left; }
table.numbers td.short { white-space: nowrap; }
table.told tbody th { width: 60%; }
table.shaded { font-size: .75rem; }
table.shaded th:first-child { white-space: nowrap; }
table.shaded td, table.shaded thead th:not(:first-child) { padding: .2rem .3rem; min-width: 1.4rem;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.s1 { background: rgb(242, 247, 250); }
.s2 { background: rgb(228, 238, 245); }
.s3 { background: rgb(214, 229, 240); }
.s4 { background: rgb(200, 220, 234); }
.s5 { background: rgb(186, 211, 229); }
.s6 { background: rgb(172, 202, 224); }
.s7 { background: rgb(158, 193, 218); }
.s8 { background: rgb(144, 184, 213); }
.s9 { background: rgb(130, 175, 208); }
svg { display: block; width: 100%; max-width: 36rem; height: auto; }
footer { margin-top: 2rem; color: #666; font-size: .85rem; }
@media (max-width: 30rem) {
  body { margin: 1rem auto; padding: 0 .5rem; }
  th, td { padding-right: .5rem; }
  table.numbers { font-size: .9rem; }
  table.shaded { font-size: .75rem; }
}
@page { margin: 1.5cm; }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 10.5pt; }
  h1, h2, h3 { break-after: avoid; }
  section, svg, tr, pre { break-inside: avoid; }
  section.long { break-inside: auto; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  svg { max-width: 11.5cm; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  table.shaded { font-size: 7pt; }
  table.shaded td, table.shaded thead th:not(:first-child) { padding: 1pt 2pt; min-width: 0; }
}
""".strip()
_TOLD = 40  # characters from which on the first column holds sentences
_NUMBER = re.compile(r"[-+<>~\u2212]?[\d.]")
_SHORT = 12  # characters of numbers that stay in one line
_TITLE = 70  # characters that a window's title has room for
SHADES, LONG = 9, 25  # darkest class of a cell; rows of a table that may be torn over pages


def write_report(path: str | os.PathLike[str], title: str, parts: Sequence[Part]) -> None:
    """Write a self-contained HTML page; it appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
    title : str
    parts : sequence of Text, Chapter, Code, Table, Lines, Bars or Groups
        What the page shows, from top to bottom.

    Raises
    ------
    ImportError
        If there is something to plot and Matplotlib is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild.report import Lines, Table, write_report
    >>> parts = [Table("Result", ["", "training"], [["accuracy", "0.9"]])]
    >>> parts.append(Lines("Loss by epoch", "epoch", "mean loss", {"training": ([1, 2, 3], [0.7, 0.5, 0.4])}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(os.path.join(folder, "report.html"), "A model", parts)
    """
    from hogwild import __version__

    level, sections = 2, []
    for number, part in enumerate(parts):
        level = 3 if isinstance(part, Chapter) else level  # what stands before the first chapter is of its rank
        sections.append(_section(part, f"p{number}-", level))
    body = "\n".join(sections)
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(shortened(visible(title), _TITLE))}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{_text(title)}</h1>
{body}
<footer>Written by hogwild {_text(__version__)}.</footer>
</body>
</html>
"""
    with write_whole(path) as file:
        file.write(page.encode())


def _text(text: str) -> str:
    return escape(visible(text))


def _section(part: Part, prefix: str, level: int) -> str:
    if isinstance(part, Text):
        return f"<p>{_text(part.text)}</p>"
    if isinstance(part, Chapter):
        return f'<h2 class="chapter">{_text(part.heading)}</h2>'
    kind = ""
    if isinstance(part, Code):
        lines = "\n".join(map(_text, part.text.splitlines()))
        content = f"<pre><code>{lines}</code></pre>"
    elif isinstance(part, Table):
        content = _table(part)
        kind = ' class="long"' if len(part.rows) > LONG else ""
    else:
        content = draw(part, prefix)
    return f"<section{kind}>\n<h{level}>{_text(part.heading)}</h{level}>\n{content}\n</section>"


def _table(table: Table) -> str:
    head, kind, kinds = "", "facts", [""] * max(map(len, [table.columns, *table.rows]))
    if any(table.columns):
        kinds = [_kind([row[k] for row in table.rows if k < len(row)]) for k in range(len(kinds))]
        cells = "".join(
            f'<th scope="col"{_class("words" if k and kinds[k] == "words" else "")}>{_text(column)}</th>'
            if column
            else "<td></td>"
            for k, column in enumerate(table.columns)
        )
        head, kind = f"<thead><tr>{cells}</tr></thead>\n", "numbers"
        if any(len(row[0]) > _TOLD for row in table.rows):
            kind += " told"
    if table.shades is not None:
        kind += " shaded"
    rows = "\n".join(
        f'<tr><th scope="row">{_text(first)}</th>'
        + "".join(
            f"<td{_class(_shade(table, row, k - 1) or kinds[k])}>{_text(cell)}</td>" for k, cell in enumerate(rest, 1)
        )
        + "</tr>"
        for row, (first, *rest) in enumerate(table.rows)
    )
    note = f'\n<p class="note">{_text(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table class="{kind}">\n{head}<tbody>\n{rows}\n</tbody>\n</table></div>{note}'


def _kind(cells: Sequence[str]) -> str:
    """Class of a column: of texts, of short numbers, which are not broken at a minus, or of long ones."""
    told = [cell for cell in cells if cell and cell != "-"]
    if sum(not _NUMBER.match(cell) for cell in told) * 2 > len(told):
        return "words"
    return "short" if told and max(map(len, told)) <= _SHORT else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _shade(table: Table, row: int, column: int) -> str:
    """Class of a cell by how dark it is to be."""
    if table.shades is None:
        return ""
    number = min(SHADES, math.ceil(SHADES * table.shades[row][column]))
    return f"s{number}" if number > 0 else ""
