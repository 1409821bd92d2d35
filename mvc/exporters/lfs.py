"""Git LFS's form: pointers in the tree, contents in `.git/lfs/objects`, and `.gitattributes` that name both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mvc.exporters.history import File, Keep, Read
from mvc.metadata.model import CommitMetadata
from mvc.objects.model import FILE, TreeItem, is_file
from mvc.repo.ignore import Rule, parse_rules

ATTRIBUTES = ".gitattributes"
_GIT = 1024 * 1024
"""Bytes of a file that stays in Git where no attribute sends it through LFS: code, tokenizers."""
_VERSION = "https://git-lfs.github.com/spec/v1"
_LINE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\S+)\s+(.*)')
_FILTER = re.compile(r"(?:^|\s)(?:filter=(\S+)|([-!])filter)(?=\s|$)")
_GLOB = re.compile(r"([*?\[\\])")


class LfsForm:
    """See `mvc.exporters.history.Form`."""

    kind = "git-lfs"
    algorithm = "sha256"

    def place(self, digest: str) -> Path:
        return Path(".git/lfs/objects") / digest[:2] / digest[2:4] / digest

    def files(
        self, items: Mapping[str, TreeItem], large: Mapping[str, int], metadata: CommitMetadata, read: Read, keep: Keep
    ) -> dict[str, File]:
        attributes = _Attributes({path: read(path) for path in items if path.rpartition("/")[2] == ATTRIBUTES})
        found: dict[str, File] = {}
        lacking: list[str] = []
        for path, item in items.items():
            filtered = is_file(item.mode) and attributes.filtered(path)
            if path in large and not filtered and large[path] <= _GIT:
                found[path] = File(item.mode, keep.whole(path, item))
            elif path in large or (filtered and read(path)):
                written = keep.file(path, item)
                pointer = f"version {_VERSION}\noid sha256:{written.digest}\nsize {written.size}\n"
                found[path] = File(item.mode, pointer.encode())
                if not filtered:
                    lacking.append(path)
            else:
                found[path] = File(item.mode, item.id)
        if lacking:
            standing = (read(ATTRIBUTES) or b"").decode("utf-8", "surrogateescape")
            lines = "".join(f"{_pattern(path)} filter=lfs diff=lfs merge=lfs -text\n" for path in sorted(lacking))
            text = standing + ("" if standing.endswith("\n") or not standing else "\n") + lines
            found[ATTRIBUTES] = File(FILE, text.encode("utf-8", "surrogateescape"))
        return found


class _Attributes:
    """Which paths the `.gitattributes` of a tree send through LFS: the last line that fits, of the nearest file."""

    def __init__(self, files: Mapping[str, bytes | None]) -> None:
        self._rules: dict[str, list[tuple[Rule, bool | None]]] = {}
        for path, data in files.items():
            rules = [
                one for line in (data or b"").decode("utf-8", "surrogateescape").splitlines() for one in _rule(line)
            ]
            if rules:
                self._rules[path.rpartition("/")[0]] = rules[::-1]

    def filtered(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        folder = path.rpartition("/")[0]
        while True:
            inner = path[len(folder) + 1 :] if folder else path
            for rule, wanted in self._rules.get(folder, ()):
                if rule.test(name if rule.by_name else inner):
                    if wanted is None:
                        return False
                    return wanted
            if not folder:
                return False
            folder = folder.rpartition("/")[0]


def _rule(line: str) -> list[tuple[Rule, bool | None]]:
    """The rule of a line that speaks of filters: LFS, another (False), or none said (None)."""
    match = _LINE.match(line)
    if match is None or line.lstrip().startswith(("#", "[attr]", "!")):
        return []
    said = _FILTER.findall(match[2])
    if not said:
        return []
    pattern = re.sub(r"\\(.)", r"\1", match[1][1:-1]) if match[1].startswith('"') else match[1]
    pattern = pattern.replace("[[:space:]]", "\\ ")
    wanted = said[-1][0] == "lfs" if said[-1][0] else None
    return [(rule, wanted) for rule in parse_rules(pattern)]


def _pattern(path: str) -> str:
    """A pattern that matches just this path. Git takes quotes as C does; blanks go as git-lfs writes them."""
    made = "/" + _GLOB.sub(r"\\\1", path)
    if '"' in made or re.search(r"[\x00-\x1f]", made):
        escaped = made.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f]", lambda found: f"\\{ord(found[0]):03o}", escaped) + '"'
    return made.replace(" ", "[[:space:]]")
