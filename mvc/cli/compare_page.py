"""A comparison of commits as a page of HTML."""

from __future__ import annotations

from html import escape
from itertools import groupby

from mvc.charts.page import page
from mvc.cli.compare_text import DIFFERS, delta_text, value_text
from mvc.cli.dates import iso_date
from mvc.cli.text import one_line
from mvc.ops.compare import Comparison, Row

_STYLE = """
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); position: sticky; top: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--back); }
thead th:first-child { background: var(--head); }
th small { display: block; font-weight: 400; color: var(--soft); max-width: 22ch; overflow: hidden;
  text-overflow: ellipsis; margin-left: auto; }
tr.section td { text-align: left; font-weight: 600; background: var(--head); color: var(--soft); }
tr.same { color: var(--soft); }
td.best { background: var(--mark); font-weight: 700; }
td small { color: var(--soft); font-weight: 400; margin-left: 6px; }
#only:checked ~ .wide tr.same { display: none; }
label { display: inline-block; margin: 0 0 12px 4px; }
"""


def comparison_page(found: Comparison) -> str:
    """The whole document."""
    heads = "".join(
        f"<th>{_text(one.name)}<small>{iso_date(one.commit.author)[:10]}</small>"
        f'<small title="{_text(one.commit.summary)}">{_text(one.commit.summary)}</small></th>'
        for one in found.commits
    )
    rows = []
    for section, members in groupby(found.rows, key=lambda row: row.section):
        rows.append(f'<tr class="section"><td colspan="{len(found.commits) + 1}">{_text(section)}</td></tr>')
        rows += [_row(row) for row in members]
    body = (
        '<input type="checkbox" id="only"><label for="only">only what differs</label>\n'
        f'<div class="wide"><table>\n<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )
    title = "Comparison of " + ", ".join(one_line(one.name) for one in found.commits[:6])
    more = len(found.commits) - 6
    return page(f"{title} and {more} more" if more > 0 else title, body, style=_STYLE, footer="made by mvc compare")


def _row(row: Row) -> str:
    cells = []
    for at in range(len(row.values)):
        delta = delta_text(row, at)
        best = ' class="best"' if at in row.best else ""
        cells.append(f"<td{best}>{_text(value_text(row, at))}{f'<small>{_text(delta)}</small>' if delta else ''}</td>")
    mark, kind = (f"{DIFFERS} ", "") if row.differs else ("", ' class="same"')
    return f"<tr{kind}><td>{mark}{_text(row.name)}</td>{''.join(cells)}</tr>"


def _text(text: str) -> str:
    return escape(one_line(text))
