"""What a command makes, to stdout or to a file that was named."""

from __future__ import annotations

from pathlib import Path

from mvc import fsio
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes


def write_text(session: Session, output: Path | None, text: str) -> None:
    """To `output` (whole or not at all), telling its size; else to stdout. `text` ends with a line feed."""
    if output is None:
        session.emit_text(text, end="")
        return
    data = text.encode("utf-8", "surrogateescape")
    fsio.write_atomic(session.cwd / output, data, sync=False)
    session.note(f"wrote {human_bytes(len(data))} to {output}")
