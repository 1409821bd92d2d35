"""DVC's own files: `.dvc`, `dvc.lock`, `dvc.yaml`, and the manifests of folders. Plain values in, no file touched.

Sources: `dvc/schema.py`, `dvc/output.py`, `dvc/schema` of dvc.lock 1.0 and 2.0, `dvc_data/hashfile/tree.py` in
https://github.com/iterative/dvc and dvc-data; checked against what dvc 3.67 writes (tests/importers/data).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mvc.errors import ParseError, UnsafePath
from mvc.metadata.secrets import without_credentials
from mvc.metadata.yaml12 import read
from mvc.objects.paths import check_path

MAX_FILE = 16 * 1024 * 1024
"""Bytes of a .dvc, dvc.lock or dvc.yaml."""
MAX_MANIFEST = 256 * 1024 * 1024
"""Bytes of the manifest of a folder: some two million files."""
_MAX_VALUES = 1_000_000
_MD5 = re.compile(r"([0-9a-f]{32})(\.dir)?\Z")
_BLANK = re.compile(r"[ \t\r\n]*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Out(NamedTuple):
    """A file or folder that DVC keeps. `key` is "md5:..." or, as before DVC 3, "md5-dos2unix:..."; None where DVC
    does not know it by its content (a stage that never ran, data in a cloud's own versions)."""

    path: str
    key: str | None
    size: int | None = None
    is_folder: bool = False
    executable: bool = False
    cached: bool = True


class Dep(NamedTuple):
    """What an out was made from, or where it was brought from."""

    path: str
    digest: str | None
    size: int | None = None
    files: int | None = None


class DvcFile(NamedTuple):
    """What a `.dvc` or `dvc.lock` says."""

    outs: tuple[Out, ...]
    deps: tuple[Dep, ...] = ()
    params: Mapping[str, Mapping[str, Any]] = {}
    """By file: the params that the stages ran with."""


class Pipeline(NamedTuple):
    """What a `dvc.yaml` declares: paths of files of params and metrics, and of folders or files of plots."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()


def parse_dvc(data: bytes, path: str) -> DvcFile:
    """A `.dvc` file at `path`. Raises ParseError, UnsafePath."""
    groups = _groups(data, path)
    folder = _joined(posixpath.dirname(path), _text(groups.get("wdir")) or ".", path)
    outs = tuple(_out(one, folder, path) for one in _list(groups, "outs", path))
    return DvcFile(outs, tuple(_dep(one, folder, path) for one in _list(groups, "deps", path)))


def parse_lock(data: bytes, path: str) -> DvcFile:
    """A `dvc.lock`, of schema 1.0 or 2.0."""
    groups = _groups(data, path)
    stages = groups.get("stages", {}) if "schema" in groups else groups
    if not isinstance(stages, dict):
        raise ParseError(f"{path}: its stages are no group")
    folder = posixpath.dirname(path)
    outs: list[Out] = []
    deps: list[Dep] = []
    params: dict[str, dict[str, Any]] = {}
    for stage in stages.values():
        if not isinstance(stage, dict):
            raise ParseError(f"{path}: a stage is no group")
        outs += [_out(one, folder, path) for one in _list(stage, "outs", path)]
        deps += [_dep(one, folder, path) for one in _list(stage, "deps", path)]
        for name, values in (stage.get("params") or {}).items() if isinstance(stage.get("params"), dict) else ():
            if isinstance(values, dict):
                params.setdefault(_joined(folder, name, path), {}).update(values)
    return DvcFile(tuple(outs), tuple(deps), params)


def parse_pipeline(data: bytes, path: str) -> Pipeline:
    """A `dvc.yaml`. What is templated (`${...}`) is left out."""
    groups = _groups(data, path)
    folder = posixpath.dirname(path)
    found: dict[str, list[str]] = {"params": [], "metrics": [], "plots": []}
    stages = groups.get("stages")
    for group in (groups, *(stages.values() if isinstance(stages, dict) else ())):
        if isinstance(group, dict):
            base = _joined(folder, _text(group.get("wdir")) or ".", path) if group is not groups else folder
            for kind, paths in found.items():
                paths += [_joined(base, name, path) for name in _named(group.get(kind), kind) if "${" not in name]
    return Pipeline(*(tuple(dict.fromkeys(found[kind])) for kind in ("params", "metrics", "plots")))


def parse_folder(data: bytes, out: Out) -> Iterator[Out]:
    """The files of a folder, from the manifest (`.dir`) that its key names. Raises ParseError, UnsafePath."""
    algorithm = (out.key or "md5:").partition(":")[0]
    for row in _rows(data, out.path):
        if not isinstance(row, dict) or not isinstance(name := row.get("relpath"), str):
            raise ParseError(f"'{out.path}': the list of its files makes no sense")
        digest = row.get("md5")
        key = f"{algorithm}:{digest}" if isinstance(digest, str) and re.fullmatch("[0-9a-f]{32}", digest) else None
        path = f"{out.path}/{name}"
        if posixpath.normpath(path) != path or not path.startswith(out.path + "/"):
            raise UnsafePath(f"'{out.path}' lists a file that leaves it: {name[:200]!r}")
        check_path(path)
        size = row.get("size")
        yield Out(path, key, size if isinstance(size, int) else None, executable=row.get("isexec") is True)


def _rows(data: bytes, path: str) -> Iterator[Any]:
    """The items of a list in JSON, one at a time: all at once they take ten times the memory of their text."""
    decoder = json.JSONDecoder()
    try:
        text = data.decode()
        at = _BLANK.match(text, 0).end()  # type: ignore[union-attr]
        if text[at : at + 1] != "[":
            raise ValueError("no list")
        at = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]
        while text[at : at + 1] != "]":
            row, at = decoder.raw_decode(text, at)
            yield row
            at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] == ",":
                at = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]
            elif text[at : at + 1] != "]":
                raise ValueError("no comma")
    except (ValueError, RecursionError) as error:
        raise ParseError(f"'{path}': the list of its files is no JSON") from error


def _groups(data: bytes, path: str) -> dict[str, Any]:
    if len(data) > MAX_FILE:
        raise ParseError(f"{path} is larger than {MAX_FILE >> 20} MiB")
    try:
        found = read(data.decode(), _MAX_VALUES)
    except UnicodeDecodeError as error:
        raise ParseError(f"{path}: not UTF-8, at byte {error.start}") from error
    except ParseError as error:
        raise ParseError(f"{path}: {error.message}") from error
    except RecursionError as error:
        raise ParseError(f"{path}: nested too deep") from error
    if not isinstance(found, dict):
        raise ParseError(f"{path}: no names at its top")
    return found


def _list(group: Mapping[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    found = group.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) and _text(one.get("path")) for one in found):
        raise ParseError(f"{path}: its {name} are no list of paths")
    return found


def _out(fields: Mapping[str, Any], folder: str, path: str) -> Out:
    name = _text(fields["path"])
    if _URL.match(name) or name.startswith("/"):
        return Out(name, None)  # data elsewhere, which DVC only watches
    found = _MD5.match(_hex(fields.get("md5")))
    key = None
    if found is not None:
        key = f"{'md5' if fields.get('hash') == 'md5' else 'md5-dos2unix'}:{found[1]}"
    size = fields.get("size")
    return Out(
        _joined(folder, name, path),
        key,
        size if isinstance(size, int) and size >= 0 else None,
        is_folder=found is not None and found[2] is not None,
        executable=fields.get("isexec") is True,
        cached=fields.get("cache") is not False,
    )


def _dep(fields: Mapping[str, Any], folder: str, path: str) -> Dep:
    name = _text(fields["path"])
    repo = fields.get("repo")
    if isinstance(repo, dict) and _text(repo.get("url")):
        name = f"{without_credentials(_text(repo['url']))}#{name}"
    elif _URL.match(name):
        name = without_credentials(name)
    elif not name.startswith("/"):
        name = posixpath.normpath(posixpath.join(folder, name))
    digest = _MD5.match(_hex(fields.get("md5")))
    size, files = fields.get("size"), fields.get("nfiles")
    return Dep(
        name,
        f"md5:{digest[0]}" if digest else None,
        size if isinstance(size, int) else None,
        files if isinstance(files, int) else None,
    )


def _joined(folder: str, name: str, where: str) -> str:
    """A path from the project's top. Raises UnsafePath for one that leaves it, or must not be in a tree."""
    path = posixpath.normpath(posixpath.join(folder, name)) if name != "." else folder
    if path == ".":
        return ""
    if path.startswith(("/", "../")) or path == "..":
        raise UnsafePath(f"{where}: the path {name[:200]!r} leads out of the project")
    if path:
        check_path(path)
    return path


def _named(value: Any, kind: str) -> Iterator[str]:
    """Paths in a list whose items are words, or groups of one name. Of params a bare word is no path."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield from (name for name in one if isinstance(name, str))
        elif isinstance(one, str) and (kind != "params" or re.search(r"\.(ya?ml|json|toml)\Z", one)):
            yield one


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _hex(value: Any) -> str:
    """A digest; one of 32 decimal digits without quotes is a number in YAML."""
    return f"{value:032d}" if type(value) is int and value >= 0 else _text(value)
