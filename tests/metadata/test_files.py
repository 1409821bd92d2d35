"""Files of params and metrics, and those that mean harm."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import MvcError, NotFound, ParseError, UsageError
from mvc.metadata.files import flat_values, load_values
from mvc.metadata.values import MAX_BYTES, MAX_VALUES
from mvc.metadata.yaml12 import read


def test_the_same_values_from_all_three() -> None:
    yaml = "lr: 1e-5\noptimizer:\n  name: adamw\n  betas: [0.9, 0.999]\nbf16: true\nseed: 7\n"
    json = '{"lr": 1e-5, "optimizer": {"name": "adamw", "betas": [0.9, 0.999]}, "bf16": true, "seed": 7}'
    toml = 'lr = 1e-5\nbf16 = true\nseed = 7\n[optimizer]\nname = "adamw"\nbetas = [0.9, 0.999]\n'
    expected = {"lr": 1e-5, "optimizer.name": "adamw", "optimizer.betas": [0.9, 0.999], "bf16": True, "seed": 7}
    for text, kind in ((yaml, "yaml"), (json, "json"), (toml, "toml")):
        assert flat_values(text.encode(), kind, "f") == expected


def test_nan_and_infinity_from_all_three() -> None:
    texts = (("a: .nan\nb: -.inf", "yaml"), ('{"a": NaN, "b": -Infinity}', "json"), ("a = nan\nb = -inf", "toml"))
    for text, kind in texts:
        found = flat_values(text.encode(), kind, "f")
        assert math.isnan(found["a"]) and found["b"] == -math.inf


def test_dates_stay_the_text_they_were() -> None:
    assert flat_values(b"d: 2026-01-01", "yaml", "f") == {"d": "2026-01-01"}
    assert flat_values(b"d = 2026-01-01T12:00:00Z", "toml", "f") == {"d": "2026-01-01T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("yaml", "a: 1\nb:\n  c: 1\n  c: 2\n", "p: line 4: 'c' stands twice"),
        ("json", '{"a": 1,\n "b": {"a": 2},\n "b": 3}', r"p: 'b' stands twice \(lines 2, 3\)"),
        ("toml", "a = 1\n\na = 2\n", "p: Cannot overwrite a value .*line"),
        ("yaml", "a: [1, 2\nb: 3", "p: line 2: "),
        ("json", '{"a": 1,}', "p: line 1: "),
        ("yaml", "a: 1\n---\nb: 2\n", "a second document"),
        ("yaml", "- 1\n- 2\n", "no names at its top"),
        ("json", "[1]", "no names at its top"),
        ("yaml", "? [a, b]\n: 1\n", "plain word"),
        ("yaml", "a: *nowhere", "nowhere"),
        ("yaml", "a: &a {b: *a}", "'a' holds itself"),
        ("yaml", "a: &a [*a]", "'a' holds itself"),
        ("yaml", "<<: 3\n", "'<<' takes groups"),
        ("yaml", "a: !!int x\n", "not what its tag says"),
        ("yaml", "a: 1\na.b: 2\n", "both a value and a group"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(kind: str, text: str, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        flat_values(text.encode(), kind, "p")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/name:os.system",
        "!!python/object:os.stat_result",
        "!x",
        "!!set",
        "!!timestamp",
        "!!binary",
    ],
)
@pytest.mark.parametrize("form", ["a: {} x\n", "a: {} [ls]\n", "a: {} {{b: 1}}\n", "{} a: 1\n"])
def test_tags_are_never_built(tag: str, form: str) -> None:
    with pytest.raises(ParseError, match="is not built here"):
        flat_values(form.format(tag).encode(), "yaml", "f")


def test_core_tags_mean_what_they_say() -> None:
    text = "a: !!str 1\nb: !!float 1\nc: !!int 0x10\nd: ! 5\ne: !!map {x: 1}\nf: !!seq [1]\n"
    assert flat_values(text.encode(), "yaml", "f") == {"a": "1", "b": 1.0, "c": 16, "d": "5", "e.x": 1, "f": [1]}


def test_anchors_and_the_merge_key() -> None:
    text = (
        "base: &b {lr: 1, wd: 0}\nrun:\n  <<: *b\n  lr: 2\nboth:\n  <<: [{lr: 9}, *b]\n'<<': text\nn: &n x\nuse: *n\n"
    )
    found = flat_values(text.encode(), "yaml", "f")
    assert found.pop("<<") == "text"
    assert found == {
        **{"base.lr": 1, "base.wd": 0},
        **{"run.lr": 2, "run.wd": 0},
        **{"both.lr": 9, "both.wd": 0},
        **{"n": "x", "use": "x"},
    }


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [bomb(30, 9), bomb(300, 2), bomb(40_000, 1)[: MAX_BYTES - 1]])
def test_alias_bombs_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ParseError, match=f"more than {MAX_VALUES:,} values"):
        flat_values(text.encode(), "yaml", "f")
    assert time.process_time() - began < 5


def test_a_chain_of_aliases_is_as_deep_as_if_written_out() -> None:
    with pytest.raises(ParseError, match="deeper"):
        flat_values(bomb(100, 1).encode(), "yaml", "f")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("yaml", "[" * 1_000_000),
        ("yaml", "a: " + "{b: " * 200_000),
        ("yaml", "".join(" " * n + "a:\n" for n in range(2000))),
        ("json", '{"a":' * 400_000),
        ("json", '{"a":' + "[" * 100_000),
        ("toml", "a = " + "[" * 100_000),
        ("toml", "[" + ".".join("a" * 5000) + "]"),
        ("json", '{"a": 1' + "0" * 10_000 + "}"),
        ("toml", "a = 1" + "0" * 10_000),
    ],
)
def test_depth_and_digits_are_bounded(kind: str, text: str) -> None:
    with pytest.raises(ParseError):
        flat_values(text.encode(), kind, "f")


@given(st.binary(max_size=200), st.sampled_from(["yaml", "json", "toml"]))
def test_any_bytes_give_values_or_a_clear_error(data: bytes, kind: str) -> None:
    try:
        flat_values(data, kind, "f")
    except MvcError as error:
        assert error.message.startswith("f: ")


@given(st.text(st.sampled_from("ab:-[]{}&*!<>|'\"\n #,?%@`1.~"), max_size=60))
def test_yaml_like_text_gives_values_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(MvcError):
        read(text)


def test_files_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "p.YML").write_bytes(b"\xef\xbb\xbfa: 1")
    assert load_values(tmp_path / "p.YML") == {"a": 1}
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_values(tmp_path / "empty.yaml") == {}
    with pytest.raises(NotFound):
        load_values(tmp_path / "gone.json")
    (tmp_path / "p.ini").write_text("a=1")
    with pytest.raises(UsageError, match="of which kind"):
        load_values(tmp_path / "p.ini")
    (tmp_path / "dir.yaml").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        load_values(tmp_path / "dir.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ParseError, match="not UTF-8, at byte 3"):
        load_values(tmp_path / "latin.yaml")
    (tmp_path / "big.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than 4 MiB"):
        load_values(tmp_path / "big.json")
