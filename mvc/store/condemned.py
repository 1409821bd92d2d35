"""The packs that gc is about to remove: a list that writers look at (intents.py), and that a killed gc leaves.

    mvc-condemned 1 asked|final
    <id of a pack> ...

"asked": gc has still to look whether a writer claims them; nothing was removed. "final": they are garbage,
some may be gone already, and the bases of what is in them too: so whoever holds the sweep lock next
finishes the removal, and fsck does not ask that they be closed under bases.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mvc import fsio
from mvc.errors import IntegrityError

_MAGIC = "mvc-condemned 1"
_MAX_SIZE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Condemned:
    packs: frozenset[bytes]
    final: bool


NOTHING = Condemned(frozenset(), False)


def read(path: Path) -> Condemned:
    """The list, or NOTHING. Raises IntegrityError."""
    try:
        lines = fsio.read_small(path, _MAX_SIZE).decode("ascii").splitlines()
    except FileNotFoundError:
        return NOTHING
    except UnicodeDecodeError as error:
        raise IntegrityError(f"'{path.name}' is no list of packs") from error
    head, _, state = (lines[0] if lines else "").rpartition(" ")
    try:
        packs = frozenset(bytes.fromhex(line) for line in lines[1:])
    except ValueError as error:
        raise IntegrityError(f"'{path.name}' is no list of packs") from error
    if head != _MAGIC or state not in ("asked", "final"):
        raise IntegrityError(f"'{path.name}' is no list of packs")
    return Condemned(packs, state == "final")


def write(path: Path, packs: Collection[bytes], tmp_dir: Path, *, final: bool) -> None:
    """Publish the list, durably."""
    lines = [f"{_MAGIC} {'final' if final else 'asked'}", *(pack.hex() for pack in sorted(packs)), ""]
    fsio.write_atomic(path, "\n".join(lines).encode("ascii"), tmp_dir=tmp_dir)
