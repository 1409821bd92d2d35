"""Parsers of other tools' files take any bytes: what they refuse is a ParseError or UnsafePath, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mvc.errors import ParseError, UnsafePath
from mvc.exporters.lfs import _Attributes, _pattern
from mvc.importers.digests import Dos2Unix, digest_for, looks_like_text
from mvc.importers.dvcfiles import Out, parse_dvc, parse_folder, parse_lock, parse_pipeline
from mvc.importers.facts import fit_names, joined
from mvc.importers.mlflowruns import dataset
from mvc.metadata.values import flatten, nest
from mvc.objects.paths import check_path
from mvc.repo.ignore import parse_rules

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(
    ["outs", "deps", "stages", "path", "md5", "hash", "wdir", "schema", "params", "metrics", "plots", "size", "repo"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


def check(parse: Any, data: bytes) -> None:
    try:
        found = parse(data, "dir/x.dvc")
    except (ParseError, UnsafePath):
        return
    for out in getattr(found, "outs", ()):
        if out.key is not None and out.path:
            check_path(out.path)
            assert not out.path.startswith(("/", "../"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@example(b"outs:\n- path: &a x\n  md5: *a\n")
@example(b"outs: {? {a: b} : c}")
@example(b"stages: {a: {params: {x: 1}, outs: [{path: .}]}}\nschema: 1")
def test_any_bytes(data: bytes) -> None:
    for parse in (parse_dvc, parse_lock, parse_pipeline):
        check(parse, data)


@given(VALUES)
def test_any_values(value: Any) -> None:
    data = json.dumps(value).encode()
    for parse in (parse_dvc, parse_lock, parse_pipeline):
        check(parse, data)
    try:
        for one in parse_folder(data, Out("data", "md5:" + "0" * 32)):
            check_path(one.path)
            assert one.path.startswith("data/")
    except (ParseError, UnsafePath):
        pass


@given(st.binary(max_size=300))
def test_folders_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ParseError, UnsafePath):
        list(parse_folder(data, Out("data", "md5:" + "0" * 32)))


@pytest.mark.parametrize(("text", "key"), [("'0123'", None), ("01234567890123456789012345678901", "md5-dos2unix:0123")])
def test_digests_of_digits(text: str, key: str | None) -> None:
    (out,) = parse_dvc(f"outs:\n- path: x\n  md5: {text}\n".encode(), "x.dvc").outs
    assert (out.key or "").startswith(key or "")
    assert (out.key is None) == (key is None)


@given(st.lists(st.binary(max_size=700), max_size=6), st.sampled_from([b"\r\n", b"x", b"\0", b"\xff\r\n"]))
def test_dos2unix_is_blockwise(parts: list[bytes], filler: bytes) -> None:
    data = b"".join(parts) + filler * 600_000
    made = Dos2Unix()
    for at in range(0, len(data), 333_333):
        made.update(data[at : at + 333_333])
    blocks = (data[at : at + 2**20] for at in range(0, len(data), 2**20))
    wanted = b"".join(one.replace(b"\r\n", b"\n") if looks_like_text(one[:512]) else one for one in blocks)
    assert made.hexdigest() == hashlib.md5(wanted, usedforsecurity=False).hexdigest()


def test_keys_and_digests() -> None:
    for key, data in (
        ("md5:900150983cd24fb0d6963f7d28e17f72", b"abc"),
        ("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", b"abc"),
        ("git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b""),
    ):
        made = digest_for(key, len(data))
        assert made is not None
        made[0].update(data)
        assert made[0].hexdigest() == made[1]
    assert digest_for("file:x", 1) is None


@given(st.dictionaries(st.text("ab.@", min_size=1, max_size=6), st.integers(), max_size=8))
def test_names_that_meet_are_kept_apart(flat: dict[str, int]) -> None:
    clean = {name.strip(".").replace("..", ".") or "a": value for name, value in flat.items()}
    fitted = fit_names(clean)
    assert sorted(fitted.values()) == sorted(clean.values()) or len(fitted) < len(clean)
    try:
        assert flatten(nest(fitted)).keys() == fitted.keys()
    except ParseError:
        assert any(name.endswith(".value") for name in clean)


def test_values_of_several_files() -> None:
    rows = [("a/x.json", {"acc": 1, "same": 2}), ("y.json", {"acc": 3, "same": 2})]
    assert joined(rows) == {"x.acc": 1, "y.acc": 3, "same": 2}


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=12))
@example("a b")
@example('q"uote')
@example("[x]*?")
@example("back\\slash")
@example("!bang")
@example("#hash")
@example(" lead")
@example("trail ")
def test_a_pattern_matches_its_path(name: str) -> None:
    if name in (".", "..") or not name.isprintable():
        return
    line = f"{_pattern('dir/' + name)} filter=lfs\n".encode()
    assert _Attributes({".gitattributes": line}).filtered(f"dir/{name}")
    assert not _Attributes({".gitattributes": line}).filtered(f"dir/{name}x")
    assert parse_rules(f"/{name}") is not None


@given(st.text(max_size=60))
@example('{"uri": "s3://u:p@b/x"}')
def test_datasets_of_mlflow(source: str) -> None:
    made = dataset("n", "d", source)
    assert made.location
    assert "u:p@" not in made.location
