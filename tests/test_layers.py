"""The layers of docs/architecture.md, held over the syntax trees of mvc/."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RANKS = {
    0: "__version__ errors progress hashing fsio renaming writeback settings lazy",
    1: "chunking codecs formats charts",
    2: "store backends",
    3: "objects",
    4: "repo metadata",
    5: "ops sync gitlink importers exporters catalogue",
    6: "cli hub api reading training",
    7: "__main__ filesystem",
}
RANK = {part: rank for rank, parts in RANKS.items() for part in parts.split()}
SIBLINGS = {
    ("chunking", "mvc.formats.base"),
    ("store", "mvc.backends.base"),
    ("cli", "mvc.hub"),
    ("training", "mvc.reading"),
}
HOMES = {"click": "mvc/cli/", "rich": "mvc/cli/", "dulwich": "mvc/objects/"}
TARGET = re.compile(r"mvc(\.\w+)+:\w+")
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "mvc").rglob("*.py"))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that an import names, or a string of the form "mvc.module:attribute" (a lazy table's target)."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and TARGET.fullmatch(node.value):
        yield node.value.replace(":", ".")


def allowed(part: str, target: str) -> bool:
    """May a module of the package `part` (the name under mvc/) import `target`?"""
    other = target.split(".")[1]
    if part == other or RANK[other] == 0 == RANK[part] or (part == "ops" and RANK[other] == RANK["ops"]):
        return True
    return RANK[other] < RANK[part] or any(part == a and target.startswith(b + ".") for a, b in SIBLINGS)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_keeps_its_layer(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    part = path.parts[1].removesuffix(".py")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        for target in imported(node):
            where = f"{path}:{getattr(node, 'lineno', 0)} {target}"
            top = target.split(".")[0]
            assert str(path).startswith(HOMES.get(top, "mvc/")), f"{where}: only under {HOMES[top]}"
            if top != "mvc":
                continue
            is_import = not isinstance(node, ast.Constant)
            assert not (is_import and id(node) in inside), f"{where}: mvc is not imported inside a function"
            if part != "__init__":
                assert allowed(part, target), f"{where}: {part} may not import this"
    if path.name == "__init__.py" and part != "__init__":
        assert all(isinstance(n, ast.Expr) for n in tree.body), f"{path}: a package's __init__ holds its docstring only"


def test_every_package_has_a_rank() -> None:
    parts = {path.parts[1].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert parts <= RANK.keys()
