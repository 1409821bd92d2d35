"""Reads many commits for the catalogue: in this process, or beside it in processes of their own while this one writes.

Reading is half of the work of a rebuild, and Python threads would share one processor. Such a process is given the ids
of commits and answers with what is in them, batch by batch, as `marshal` writes it; whatever happens to it, the rest is
read here.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from mvc.catalogue.facts import FactReader, Facts
from mvc.catalogue.values import Values
from mvc.errors import MvcError
from mvc.metadata.annotations import read_annotations
from mvc.objects.database import Objects
from mvc.objects.model import Commit, Signature
from mvc.objects.reader import ObjectReader
from mvc.objects.reffiles import RefFiles

MANY = 4000
"""From so many commits on, it is worth while to start processes."""
MOST_PROCESSES = 3
_BATCH = 200
_RECENT = 256
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from mvc.catalogue.gather import serve; serve()"
_ROOT = Path(__file__).resolve().parents[2]
_NUMBER = 8

Tags = dict[str, list[str]]
"""Ids of annotated tags by the commit that they stand for."""


def gathered(objects: ObjectReader, refs: RefFiles, order: Sequence[str], tags: Tags) -> Iterator[tuple[Commit, Facts]]:
    """The commits, in this order. Raises what reading an object raises."""
    done = 0
    processors = os.cpu_count() or 1
    if len(order) >= MANY and processors > 1:
        for row in _beside(refs.common_dir, order, tags, min(processors, MOST_PROCESSES)):
            done += 1
            yield row
    if done < len(order):
        yield from _here(objects, refs, order[done:], tags)


def _here(objects: ObjectReader, refs: RefFiles, order: Sequence[str], tags: Tags) -> Iterator[tuple[Commit, Facts]]:
    reader = FactReader(objects, read_annotations(objects, refs), tags)
    trees: dict[str, str] = {}
    for commit_id in order:
        commit = objects.commit(commit_id)
        base = None
        if commit.parents:
            with suppress(MvcError):  # a parent that is not there: all of the commit's files count as its own
                base = trees.get(commit.parents[0]) or objects.commit(commit.parents[0]).tree
        if len(trees) >= _RECENT:
            trees.clear()
        trees[commit_id] = commit.tree
        yield commit, reader.read(commit, base)


def _beside(common_dir: Path, order: Sequence[str], tags: Tags, processes: int) -> Iterator[tuple[Commit, Facts]]:
    """As far as the processes go: it ends where one of them does."""
    batches = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
    with ExitStack() as stack:
        try:
            running = [stack.enter_context(_process()) for _ in range(processes)]
            for number, process in enumerate(running):
                stack.callback(process.kill)
                assert process.stdin is not None
                given = (os.fspath(common_dir), [list(batch) for batch in batches[number::processes]], tags)
                process.stdin.write(marshal.dumps(given))
                process.stdin.close()
        except OSError:
            return
        for number in range(len(batches)):
            rows = _batch(running[number % processes].stdout)
            if rows is None:
                return
            yield from map(_unpacked, rows)


def _process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(_ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _batch(stream: BinaryIO | Any) -> list[Any] | None:
    """What a process found; None where it ended."""
    size = stream.read(_NUMBER)
    data = stream.read(int.from_bytes(size, "little")) if len(size) == _NUMBER else b""
    if not data or len(data) != int.from_bytes(size, "little"):
        return None
    found: list[Any] = marshal.loads(data)  # from a process of our own
    return found


def serve() -> None:
    """What such a process runs."""
    folder, batches, tags = marshal.loads(sys.stdin.buffer.read())
    common = Path(folder)
    objects, refs = Objects(common / "objects", tmp_dir=common / "tmp"), RefFiles(common, common)
    for batch in batches:
        data = marshal.dumps([_packed(commit, facts) for commit, facts in _here(objects, refs, batch, tags)])
        sys.stdout.buffer.write(len(data).to_bytes(_NUMBER, "little") + data)
        sys.stdout.buffer.flush()


def _packed(commit: Commit, facts: Facts) -> tuple[Any, ...]:
    who = tuple(commit.author), tuple(commit.committer)
    return (commit.id, commit.tree, commit.parents, *who, commit.message), tuple(facts.values), tuple(facts[1:])


def _unpacked(row: tuple[Any, ...]) -> tuple[Commit, Facts]:
    (one, tree, parents, author, committer, message), values, rest = row
    commit = Commit(one, tree, parents, Signature(*author), Signature(*committer), message)
    return commit, Facts(Values(*values), *rest)
