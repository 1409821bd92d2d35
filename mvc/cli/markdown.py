"""Text from a repository inside of GitHub-flavoured Markdown: nobody's file name may become a link or a heading."""

from __future__ import annotations

import re

from mvc.cli.text import one_line

_HARMLESS = re.compile(r"[A-Za-z0-9 .,;/%'\"]*\Z")


def escaped(text: str) -> str:
    """`text` on one line, every mark that Markdown, HTML or GitHub's mentions know made plain."""
    line = one_line(text)
    if _HARMLESS.match(line) and "//" not in line and "www." not in line:
        return line
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
    line = re.sub(r"(?<![\w&])#(?=\d)", "#\u200b", line)
    line = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", line)
    # A bare address would be a link.
    return re.sub(r"(?i)(https?|ftp|mailto):|www\.", lambda found: found[0][:-1] + f"{found[0][-1]}\u200b", line)


def code(text: str) -> str:
    """`text` as code in a table's cell: fenced by more backquotes than it holds."""
    line = one_line(text) or " "
    runs = [len(run) for run in re.findall("`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or (line != line.strip() and line.strip()) else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")
