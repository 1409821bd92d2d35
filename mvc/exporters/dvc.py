"""DVC's form: a `.dvc` beside each large file, its content in `.dvc/cache/files/md5`, params and metrics as files.

What a `dvc.lock` of the version lists stays the pipeline's: it gets no `.dvc`, and the lock is brought up to date where
it no longer tells the truth. Folders of the lock get DVC's manifest of a folder (`.dir`).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mvc.errors import MvcError, Refused
from mvc.exporters.history import File, Keep, Read
from mvc.metadata.canonical import dumps
from mvc.metadata.model import CommitMetadata
from mvc.metadata.values import nest
from mvc.metadata.yaml12 import read as read_yaml
from mvc.objects.model import EXEC, FILE, TreeItem
from mvc.repo.ignore import parse_rules

_CONFIG, _INNER_IGNORE = ".dvc/config", ".dvc/.gitignore"
_IGNORED = b"/config.local\n/tmp\n/cache\n"
_PARAMS, _METRICS, _PIPELINE, _LOCK, _IGNORE = "params.yaml", "metrics.json", "dvc.yaml", "dvc.lock", ".gitignore"
_CACHE = Path(".dvc/cache/files/md5")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*\Z")
_GLOB = re.compile(r"([*?\[\]\\])")
_MAX_VALUES = 1_000_000


class DvcForm:
    """See `mvc.exporters.history.Form`."""

    kind = "dvc"
    algorithm = "md5"

    def place(self, digest: str) -> Path:
        return _CACHE / digest[:2] / digest[2:]

    def files(
        self, items: Mapping[str, TreeItem], large: Mapping[str, int], metadata: CommitMetadata, read: Read, keep: Keep
    ) -> dict[str, File]:
        found = {path: File(item.mode, item.id) for path, item in items.items() if path not in large}
        locks = {path: _Lock(path, items, read, keep) for path in items if path.rpartition("/")[2] == _LOCK}
        hidden: set[str] = set()
        listed: set[str] = set()
        for path, lock in locks.items():
            if path in found and lock.text is not None:
                found[path] = File(FILE, lock.text)
            hidden |= lock.files
            listed |= lock.outs
        for path in hidden:
            found.pop(path, None)
        pointers = {path: f"{path}.dvc" for path in large if path not in hidden}
        for path, pointer in pointers.items():
            if pointer in items:
                raise Refused(f"'{path}' cannot get a .dvc: the version holds a file of that name", hint="rename it")
            found[pointer] = File(FILE, _pointer(path, items[path], keep))
        _say(found, metadata)
        _ignore(found, [*pointers, *listed], read)
        found.setdefault(_CONFIG, File(FILE, b""))
        found.setdefault(_INNER_IGNORE, File(FILE, _IGNORED))
        return found


def _pointer(path: str, item: TreeItem, keep: Keep) -> bytes:
    written = keep.file(path, item)
    lines = [f"- md5: {written.digest}", f"  size: {written.size}", "  hash: md5"]
    if item.mode == EXEC:
        lines.append("  isexec: true")
    name = path.rpartition("/")[2]
    lines.append(f"  path: {name if _PLAIN.match(name) else json.dumps(name)}")
    return ("outs:\n" + "\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


class _Lock:
    """A `dvc.lock`: the files that its outs cover, and its text if it must change. One that cannot be read is left."""

    def __init__(self, path: str, items: Mapping[str, TreeItem], read: Read, keep: Keep) -> None:
        self._folder = posixpath.dirname(path)
        self._items, self._keep = items, keep
        self.outs: set[str] = set()
        """Files and folders that it lists; `files`: those, and all that is in these."""
        self.files: set[str] = set()
        self.text: bytes | None = None
        try:
            groups = read_yaml((read(path) or b"").decode(), _MAX_VALUES)
            plain = set(self._uncached(read))
            stages = list(groups["stages"].values())
            changed = [self._out(out, plain) for stage in stages for out in stage.get("outs") or []]
        except (MvcError, ValueError, KeyError, TypeError, AttributeError):
            self.outs.clear()
            self.files.clear()
            return
        if any(changed):
            self.text = (json.dumps(groups, indent=1, ensure_ascii=False) + "\n").encode()

    def _out(self, out: dict[str, Any], plain: set[str]) -> bool:
        """Cover what an out lists; whether the lock told something else of it."""
        path = posixpath.normpath(posixpath.join(self._folder, out["path"]))
        if path in plain:
            return False
        if path in self._items:
            written = self._keep.file(path, self._items[path])
            told = {"md5": written.digest, "size": written.size}
            self.files.add(path)
        else:
            inside = sorted(
                (one for one in self._items if one.startswith(f"{path}/")), key=lambda one: tuple(one.split("/"))
            )
            if not inside:
                return False
            told = self._manifest(path, inside)
            self.files.update(inside)
        self.outs.add(path)
        if all(out.get(name) == value for name, value in told.items()):
            return False
        out.update(told)
        out["hash"] = "md5"
        return True

    def _manifest(self, folder: str, inside: list[str]) -> dict[str, Any]:
        """Put the list of a folder's files into the cache, as `dvc_data/hashfile/tree.py` writes it."""
        rows: list[dict[str, str]] = []
        size = 0
        for path in inside:
            written = self._keep.file(path, self._items[path])
            rows.append({"md5": written.digest, "relpath": path[len(folder) + 1 :]})
            size += written.size
        data = json.dumps(rows, sort_keys=True).encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self._keep.data(_CACHE / digest[:2] / f"{digest[2:]}.dir", data)
        return {"md5": f"{digest}.dir", "size": size, "nfiles": len(rows)}

    def _uncached(self, read: Read) -> Iterator[str]:
        """The outs that Git keeps, as the dvc.yaml beside it says."""
        groups = read_yaml((read(posixpath.join(self._folder, _PIPELINE)) or b"").decode(), _MAX_VALUES)
        stages = groups.get("stages") or {}
        for stage in stages.values():
            stage = stage.get("do", stage)
            for kind in ("outs", "metrics", "plots"):
                for one in stage.get(kind) or []:
                    for name, said in one.items() if isinstance(one, dict) else ():
                        if isinstance(said, dict) and said.get("cache") is False:
                            yield posixpath.normpath(posixpath.join(self._folder, stage.get("wdir") or "", name))


def _say(found: dict[str, File], metadata: CommitMetadata) -> None:
    """Params and metrics that no file of the version holds, where DVC finds them."""
    if _PIPELINE in found or (not metadata.params and not metadata.metrics):
        return
    if metadata.params and _PARAMS not in found:
        found[_PARAMS] = File(FILE, dumps(nest(metadata.params)).encode())
    if metadata.metrics and _METRICS not in found:
        text = json.dumps(nest(metadata.metrics), indent=2, ensure_ascii=False)
        found[_METRICS] = File(FILE, f"{text}\n".encode())
        params = f"params:\n- {_PARAMS}\n" if _PARAMS in found else ""
        found[_PIPELINE] = File(FILE, f"metrics:\n- {_METRICS}\n{params}".encode())


def _ignore(found: dict[str, File], hidden: list[str], read: Read) -> None:
    """`.gitignore` in each folder names what DVC keeps there; a line that hides a whole folder of `.dvc` files goes."""
    by_folder: dict[str, list[str]] = {}
    for path in hidden:
        by_folder.setdefault(posixpath.dirname(path), []).append(path.rpartition("/")[2])
    pointing = {posixpath.dirname(path) for path in found if path.endswith(".dvc")}
    above = {one for folder in pointing for one in _with_parents(folder)}
    folders = {*by_folder, *(posixpath.dirname(one) for one in above)}
    for folder in folders:
        path = posixpath.join(folder, _IGNORE)
        lines = (read(path) or b"").decode("utf-8", "surrogateescape").splitlines()
        stay = [line for line in lines if posixpath.join(folder, line.strip("/ ")) not in above or not line.strip("/ ")]
        rules = [rule for line in stay for rule in parse_rules(line)]
        for name in sorted(by_folder.get(folder, ())):
            if not any(rule.test(name) and rule.ignores for rule in rules):
                stay.append("/" + _GLOB.sub(r"\\\1", name))
        if stay != lines:
            found[path] = File(FILE, "".join(f"{line}\n" for line in stay).encode("utf-8", "surrogateescape"))


def _with_parents(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
