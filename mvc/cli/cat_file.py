"""`mvc cat-file`: parse, call `mvc.ops.cat_file`, render."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from mvc.cli.command import verb
from mvc.cli.session import Session
from mvc.cli.sizes import human_bytes
from mvc.cli.text import printable
from mvc.errors import UsageError
from mvc.ops.cat_file import (
    Buffer,
    file_content,
    object_exists,
    object_head,
    pretty,
    raw_object,
    tensor_file,
    write_pieces,
)


@verb
@click.argument("revisions", nargs=-1, metavar="[KIND] OBJECT | REV:PATH")
@click.option("-t", "mode", flag_value="kind", help="Its kind: commit, tree, blob or tag.")
@click.option("-s", "mode", flag_value="size", help="Its size in bytes (of a chunked file: its manifest's).")
@click.option("-e", "mode", flag_value="exists", help="Exit with 1 if there is none; print nothing.")
@click.option("-p", "mode", flag_value="pretty", help="Its content (of a chunked file: its manifest).")
@click.option("--content", "mode", flag_value="content", help="The file REV:PATH, whole, as it was committed.")
@click.option("--tensor", metavar="NAME", help="The tensor NAME of the file REV:PATH, as .npy; reads its chunks alone.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to stdout.")
def command(
    session: Session, revisions: tuple[str, ...], mode: str | None, tensor: str | None, output: Path | None
) -> int | None:
    """An object's content, a file, or one tensor as .npy.

    \b
    mvc cat-file -p HEAD
    mvc cat-file --content v1:model.safetensors -o old.safetensors
    mvc cat-file --tensor encoder.weight v1:model.safetensors -o weight.npy
    """
    repo = session.repo()
    if len(revisions) == 2 and mode is None and tensor is None:
        _write(session, iter([raw_object(repo, *revisions)]), output)
        return None
    if len(revisions) != 1 or (mode is None) == (tensor is None):
        raise UsageError("one object, and what of it", hint="mvc cat-file -p OBJECT, or --tensor NAME REV:PATH")
    spec = revisions[0]
    if tensor is not None:
        found = tensor_file(repo, spec, tensor)
        if found.bits:
            session.note(f"{printable(found.tensor.dtype)} is unknown to numpy: the file holds the bits of its values")
        _write(session, found.pieces, output)
    elif mode == "content":
        _write(session, file_content(repo, spec), output)
    elif mode == "exists":
        return None if object_exists(repo, spec) else 1
    elif mode == "pretty":
        _write(session, iter([pretty(repo, spec)]), output)
    else:
        head = object_head(repo, spec)
        session.emit_text(head.kind if mode == "kind" else str(head.size))
    return None


def _write(session: Session, pieces: Iterator[Buffer], output: Path | None) -> None:
    if output is not None:
        size = write_pieces(session.cwd / output, pieces)
        session.note(f"wrote {human_bytes(size)} to {output}")
        return
    for piece in pieces:
        session.emit_bytes(piece)
