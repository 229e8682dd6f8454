"""The page around tables and plots: no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape

from hogwild.data.files import write_whole
from hogwild.report.parts import Chapter, Code, Part, Table, Text
from hogwild.report.plots import draw

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 44rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h2.chapter { font-size: 1.35rem; margin-top: 3rem; border-bottom: 2px solid #222; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
pre { background: #f4f4f4; padding: .75rem; overflow-x: auto; font-size: .85rem; }
.note { color: #555; font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
thead th { border-bottom-color: #666; }
tbody th { font-weight: normal; color: #555; }
table.numbers td, table.numbers thead th:not(:first-child) { text-align: right; padding-left: .75rem; }
svg { width: 100%; height: auto; }
footer { margin-top: 2rem; color: #666; font-size: .85rem; }
@media print {
  body { max-width: none; margin: 0; font-size: 11pt; }
  section { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
}
""".strip()


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

    chapters = any(isinstance(part, Chapter) for part in parts)
    level = 3 if chapters else 2
    body = "\n".join(_section(part, f"p{number}-", level) for number, part in enumerate(parts))
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
<footer>Written by hogwild {escape(__version__)}.</footer>
</body>
</html>
"""
    with write_whole(path) as file:
        file.write(page.encode())


def _section(part: Part, prefix: str, level: int) -> str:
    if isinstance(part, Text):
        return f"<p>{escape(part.text)}</p>"
    if isinstance(part, Chapter):
        return f'<h2 class="chapter">{escape(part.heading)}</h2>'
    if isinstance(part, Code):
        content = f"<pre><code>{escape(part.text)}</code></pre>"
    else:
        content = _table(part) if isinstance(part, Table) else draw(part, prefix)
    return f"<section>\n<h{level}>{escape(part.heading)}</h{level}>\n{content}\n</section>"


def _table(table: Table) -> str:
    head = ""
    if any(table.columns):
        cells = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
        head = f"<thead><tr>{cells}</tr></thead>\n"
    rows = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in table.rows
    )
    kind = ' class="numbers"' if head else ""
    note = f'\n<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table{kind}>\n{head}<tbody>\n{rows}\n</tbody>\n</table></div>{note}'
