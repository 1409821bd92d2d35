"""A page of HTML that needs nothing but itself: no server, no font, no script from elsewhere; light and dark."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --mark: #ddf4e4;
  --head: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --soft: #9198a1; --line: #3d444d;
  --mark: #12352a; --head: #151b23; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 24px; background: var(--back); color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 20px; font-weight: 600; margin: 0 0 16px; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 12px; margin-top: 24px; }
"""


def page(title: str, body: str, *, style: str = "", footer: str = "") -> str:
    """A whole document. `title` and `footer` are text; `body` and `style` are markup that the caller made safe."""
    below = f"<footer>{escape(footer)}</footer>\n" if footer else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # What a page of numbers is never to do, whatever a name in it was made to look like.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data: blob:\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n{below}</body>\n</html>\n"
    )
