"""A database some of whose objects are elsewhere, and come when they are asked for; and refs that stand in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mvc.objects import refnames
from mvc.objects.database import Objects
from mvc.objects.pack import Pack
from mvc.objects.refs import Refs

_HEAD = "HEAD"


class PartialObjects(Objects):
    """Objects of which `objects_dir` holds those that came so far; they are verified as any others are.

    `bring(id)` is asked for one that is not there: it adds it (by `sealed`), or does nothing. `prefixed(digits)` gives
    the ids elsewhere that begin so.
    """

    def __init__(
        self,
        objects_dir: Path,
        *,
        tmp_dir: Path,
        mapped: bool,
        bring: Callable[[str], None],
        prefixed: Callable[[str], set[str]],
    ) -> None:
        super().__init__(objects_dir, tmp_dir=tmp_dir, mapped=mapped)
        self._bring = bring
        self._prefixed = prefixed

    def here(self, object_id: str) -> bool:
        """Whether the object is in the folder, as far as its packs are listed by now."""
        return self.packs.find(bytes.fromhex(object_id)) is not None

    def _find(self, object_id: str) -> tuple[Pack, int] | Path | None:
        found = super()._find(object_id)
        if found is None:
            self._bring(object_id)
            found = super()._find(object_id)
        return found

    def resolve_prefix(self, prefix: str) -> tuple[str, ...]:
        """All ids here and elsewhere that begin with these hex digits."""
        elsewhere = self._prefixed(prefix.lower()) if prefix else set()
        return tuple(sorted({*super().resolve_prefix(prefix), *elsewhere}))


class FixedRefs(Refs):
    """Refs as a state of a remote has them: nothing on any disk, no reflogs."""

    def __init__(self, refs: Mapping[str, str], head: str, *, nowhere: Path) -> None:
        """`head`: the branch that HEAD names, "" if none. `nowhere`: a folder in which no reflog is."""
        super().__init__(nowhere, nowhere)
        self._refs = dict(sorted(refs.items()))
        self._head = head

    def content(self, ref: str) -> str | None:
        """What stands for a ref: an id, or "ref: name"; None if it does not exist."""
        if ref == _HEAD:
            return f"ref: {self._head}" if self._head else None
        return self._refs.get(refnames.check(ref))

    def list(self, prefix: str = "refs/") -> dict[str, str]:
        """All refs whose full name begins with `prefix`."""
        return {name: value for name, value in self._refs.items() if name.startswith(prefix)}
