"""What the command line says of a commit."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from blake3 import blake3

from mvc.errors import NotFound, ParseError, Refused, UsageError
from mvc.metadata.arguments import collect_metrics, collect_params, collect_tags, pairs, parse_assignment
from mvc.metadata.datasets import describe_dataset, hash_folder
from mvc.metadata.model import Dataset


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=3e-5", 3e-5),
        ("k=true", True),
        ("k=", None),
        ("k=a=b", "a=b"),
        ("k=!!python/object:os.system []", "!!python/object:os.system []"),
        ("k = two words ", "two words"),
        ("k=[1, 2.5, x]", [1, 2.5, "x"]),
        ("k={a: 1}", {"a": 1}),
        ("k='5'", "5"),
        ('k="a\\nb"', "a\nb"),
    ],
)
def test_assignments(text: str, value: object) -> None:
    assert parse_assignment(text) == ("k", value)


@pytest.mark.parametrize("text", ["k", "=1", "", "k=[1", "k=\x1b[0m", "k=\udcff"])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(UsageError, match="--param"):
        collect_params([text], [])


def test_assignments_win_over_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("optimizer:\n  lr: 1\n  wd: 2\n")
    found = collect_params(["optimizer.lr=5", "seed=7"], [tmp_path / "a.yaml"])
    assert found == {"optimizer.lr": 5, "optimizer.wd": 2, "seed": 7}


def test_what_contradicts_itself(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("lr: 1\n")
    (tmp_path / "b.json").write_text('{"lr": 1.0}')
    (tmp_path / "c.toml").write_text("lr = 1\n")
    assert collect_params([], [tmp_path / "a.yaml", tmp_path / "c.toml"]) == {"lr": 1}
    with pytest.raises(UsageError, match=r"'lr' is in .*a\.yaml and, with another value, in .*b\.json"):
        collect_params([], [tmp_path / "a.yaml", tmp_path / "b.json"])
    with pytest.raises(UsageError, match="lr is given twice"):
        collect_params(["lr=1", "lr=1"], [])
    with pytest.raises(UsageError, match="both a value and a group"):
        collect_params(["lr=1", "lr.max=1"], [])
    with pytest.raises(ParseError, match="line 2"):
        (tmp_path / "d.yaml").write_text("a: 1\na: 2\n")
        collect_params([], [tmp_path / "d.yaml"])


def test_metrics_are_numbers_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    found = collect_metrics(["acc=0.9", "n=3", "loss=.nan", "acc@m.bin=0.8"], [])
    assert math.isnan(found.pop("loss"))
    assert found == {"acc": 0.9, "n": 3, "acc@m.bin": 0.8}
    for text in ("acc=high", "ok=true", "a=[1]", "a="):
        with pytest.raises(UsageError, match="not a number"):
            collect_metrics([text], [])
    (tmp_path / "m.json").write_text('{"model": "x", "per_class": [0.1, 0.2]}')
    assert collect_metrics([], [tmp_path / "m.json"]) == {"model": "x", "per_class": [0.1, 0.2]}


def test_a_local_file(tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.bin").write_bytes(data)
    name = blake3(data).hexdigest()
    expected = Dataset("train", "data/train.bin", f"blake3:{name}", len(data))
    assert describe_dataset("train", "train.bin", tmp_path / "data", tmp_path) == expected
    assert describe_dataset("train", f"data/train.bin@{name[:12]}", tmp_path, tmp_path) == expected
    sha = (
        subprocess.run(["sha256sum", tmp_path / "data/train.bin"], capture_output=True, check=True).stdout[:64].decode()
    )
    assert describe_dataset("train", f"data/train.bin@sha256:{sha}", tmp_path, tmp_path) == expected
    with pytest.raises(Refused, match="its blake3 is"):
        describe_dataset("train", f"data/train.bin@blake3:{'0' * 64}", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="md6 cannot be computed"):
        describe_dataset("train", "data/train.bin@md6:0123456", tmp_path, tmp_path)


def test_a_path_outside_is_recorded_whole(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "x.csv").write_text("1")
    assert (
        describe_dataset("d", "../x.csv", tmp_path / "top", tmp_path / "top").location
        == (tmp_path / "x.csv").as_posix()
    )


def test_a_folder_is_hashed_as_b3sum_would(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "a/b").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("left out")
    contents = {"a/b/z": b"1", "a.txt": b"2", "a-b": b"3", "Ü": b"4"}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "link").symlink_to("a.txt")
    contents["link"] = b"a.txt"
    lines = [blake3(data).hexdigest().encode() + b"  " + os.fsencode(name) + b"\n" for name, data in contents.items()]
    lines.sort(key=lambda line: line[66:])
    expected = blake3(b"".join(lines)).digest()
    assert hash_folder(folder) == (expected, sum(map(len, contents.values())), 5)
    found = describe_dataset("set", "set", tmp_path, tmp_path)
    assert found == Dataset("set", "set", f"blake3:{expected.hex()}", 9, 5)
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    assert hash_folder(tmp_path / "copy")[0] == expected
    with pytest.raises(UsageError, match="sha256 cannot be computed"):
        describe_dataset("set", "set@sha256:0123456", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "location", "digest"),
    [
        ("hf://datasets/imdb@main", "hf://datasets/imdb@main", None),
        ("s3://bucket/x.parquet@sha256:abcdef0123", "s3://bucket/x.parquet", "sha256:abcdef0123"),
        ("https://user:pw@host/x?X-Amz-Signature=1&part=2", "https://host/x?X-Amz-Signature=***&part=2", None),
        ("https://host/x@0123456789abcdef", "https://host/x", "0123456789abcdef"),
        ("doi:10.1000/182", "doi:10.1000/182", None),
    ],
)
def test_uris(text: str, location: str, digest: str | None, tmp_path: Path) -> None:
    assert describe_dataset("d", text, tmp_path, tmp_path) == Dataset("d", location, digest)


def test_a_name_with_an_at_sign_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "x@0123456").write_text("1")
    assert describe_dataset("d", "x@0123456", tmp_path, tmp_path).location == "x@0123456"


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no such file or folder: gone\.csv"):
        describe_dataset("d", "gone.csv", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="NAME=PATH"):
        pairs(["gone.csv"], "--dataset")
    with pytest.raises(UsageError, match="given twice"):
        pairs(["d=s3://a", "d=s3://b"], "--dataset")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError):
        (tmp_path / "dev").symlink_to("/dev/null")
        describe_dataset("d", "dev", tmp_path, tmp_path)


def test_tags_are_words() -> None:
    assert collect_tags(["task=ner", "release=1.0", "baseline", "a.b="]) == {
        "task": "ner",
        "release": "1.0",
        "baseline": "true",
        "a.b": "",
    }
    for text in ("=x", "k=\x1b"):
        with pytest.raises(UsageError, match="--tag"):
            collect_tags([text])
    with pytest.raises(UsageError, match="given twice"):
        collect_tags(["a=1", "a=2"])
