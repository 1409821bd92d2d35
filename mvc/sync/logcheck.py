"""The whole log of a remote: every entry reads, each follows the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from mvc.backends.base import Backend
from mvc.errors import MvcError, NetworkError, NotFound
from mvc.sync import keys
from mvc.sync.remotelog import TRIMMED
from mvc.sync.state import MAX_ENTRY, State, base_of, hash_of, parse

_AT_ONCE = 64


def check_log(backend: Backend, newest: State) -> tuple[int, list[tuple[str, str]]]:
    """How many entries were read, and (key, what is wrong) for each that is not as it must be."""
    findings: list[tuple[str, str]] = []
    snapshots: dict[int, tuple[str, State]] = {}
    before: tuple[int, str] | None = None
    count = last = 0
    state: State | None = None
    for seq, text in _entries(backend):
        key = keys.entry(seq)
        if last and seq != last + 1:
            findings.append((key, f"entries {last + 1} to {seq - 1} are missing"))
        last = seq
        if text == TRIMMED:
            before = None
            continue
        count += 1
        try:
            wanted = base_of(text)
            held = snapshots.get(wanted[0]) if wanted is not None else None
            if wanted is not None and held is None:
                raise NotFound(f"snapshot {wanted[0]} is not there")
            if wanted is not None and held is not None and held[0] != wanted[1]:
                raise NotFound(f"snapshot {wanted[0]} is another than it rests on")
            entry = parse(text, held[1] if held is not None else None)
            if entry.state.seq != seq:
                raise NotFound(f"it says that it is entry {entry.state.seq}")
            if before is not None and before[0] == seq - 1 and entry.before != before[1]:
                raise NotFound("it does not follow the entry before it")
        except MvcError as error:
            findings.append((key, error.message))
            before = None
            continue
        state = entry.state
        before = seq, hash_of(text)
        if wanted is None:
            snapshots[seq] = before[1], state
    if newest.seq and (state is None or state.seq < newest.seq):
        findings.append((keys.entry(newest.seq), "the newest entry is not listed"))
    return count, findings


def _entries(backend: Backend) -> Iterator[tuple[int, bytes]]:
    numbers = [
        int(number)
        for entry in backend.list(keys.LOG)
        if re.fullmatch("[0-9]{12}", number := entry.key.removeprefix(keys.LOG))
    ]

    def get(number: int) -> bytes:
        try:
            return backend.get(keys.entry(number), 0, MAX_ENTRY + 1)
        except NetworkError:
            raise
        except NotFound:
            return b""

    with ThreadPoolExecutor(max(1, backend.capabilities.parallel)) as pool:
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            yield from zip(some, pool.map(get, some), strict=True)
