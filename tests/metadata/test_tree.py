"""`.mvcmeta/` in a commit's tree: written, read, compared."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mvc.errors import ParseError
from mvc.metadata.canonical import dumps
from mvc.metadata.compare import compare
from mvc.metadata.model import NOTHING, Base, CommitMetadata, Dataset, Point, Table
from mvc.metadata.tree import EVERY_FILE, METRICS, SERIES, read_metadata, write_tree
from mvc.metadata.values import MAX_BYTES, flatten
from mvc.objects.database import Objects
from mvc.objects.fsck import METADATA_FILES
from mvc.objects.model import FILE, LINK, TREE, TreeEntry
from mvc.repo.create import init
from tests.metadata.strategies import nested, same

FULL = CommitMetadata(
    params={"lr": 3e-5, "optimizer.name": "adamw", "optimizer.betas": [0.9, 0.999], "bf16": True, "note": "no"},
    metrics={"acc": 0.91, "loss": math.nan, "acc@model.v1.bin": 0.5},
    datasets=(Dataset("imdb.v2", "hf://datasets/imdb", "sha256:00"), Dataset("train", "data", "blake3:11", 123, 4)),
    environment={"python": "3.11.7", "packages.torch": "2.1", "command": "train.py --lr 1"},
    tags={"task": "ner", "mlflow.user": "max", "mlflow": "yes", "release": "1.0"},
    links={"wandb.url": "https://wandb.ai/a/b/runs/c", "slurm.job": "4711"},
    bases=(
        Base("0123456789" * 4, None, "base/model.safetensors", "model.safetensors", True),
        Base(None, "hf://bert-base-cased"),
    ),
    tables={"confusion": Table(("", "yes", "no"), (("yes", 10, 2), ("no", 1.5, None)))},
    series=(
        Point(1, {"loss": 2.5, "eval/acc@a,b.bin": 1}),
        Point(2, {"loss": math.nan, "up": math.inf, "down": -math.inf}),
    ),
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return init(tmp_path_factory.mktemp("repo"), initial_branch="main")[0].objects


def root_of(objects: Objects, files: dict[str, bytes], *, mode: int = FILE) -> str:
    with objects.batch() as batch:
        folder = batch.tree([TreeEntry(name, mode, batch.blob(data)) for name, data in files.items()])
        root = batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True)
        batch.seal()
    return root


def stored(objects: Objects, metadata: CommitMetadata) -> str:
    with objects.batch() as batch:
        folder = write_tree(batch, metadata)
        assert folder is not None
        root = batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True)
        batch.seal()
    return root


def test_it_comes_back(objects: Objects) -> None:
    found = read_metadata(objects, stored(objects, FULL))
    assert same(dict(sorted(found.metrics.items())), dict(sorted(FULL.metrics.items())))
    assert dict(found.params) == dict(FULL.params)
    assert found.datasets == FULL.datasets
    assert dict(found.environment) == dict(FULL.environment)
    assert found.tags == FULL.tags
    assert found.links == FULL.links
    assert found.bases == FULL.bases
    assert found.tables == FULL.tables
    assert found.series == ()


def test_series_are_read_when_asked_for(objects: Objects) -> None:
    root = stored(objects, FULL)
    assert same(read_metadata(objects, root, files=(SERIES,)).series, FULL.series)
    assert len(read_metadata(objects, root, files=EVERY_FILE).series) == 2


def test_git_reads_it(objects: Objects) -> None:
    root = stored(objects, FULL)
    git = ["git", "--git-dir", str(objects.objects_dir.parent)]
    text = subprocess.run(
        [*git, "show", f"{root}:.mvcmeta/params.yaml"], capture_output=True, text=True, check=True
    ).stdout
    assert text == ('bf16: true\nlr: 3.0e-05\nnote: "no"\noptimizer:\n  betas: [0.9, 0.999]\n  name: adamw\n')
    listing = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", root], capture_output=True, text=True, check=True
    ).stdout
    assert listing.split() == [f".mvcmeta/{name}" for name in sorted(EVERY_FILE)]
    assert set(EVERY_FILE) == METADATA_FILES, "the closed list, as fsck knows it"


def test_nothing_to_say_is_no_tree(objects: Objects) -> None:
    with objects.batch() as batch:
        assert write_tree(batch, NOTHING) is None
    assert not NOTHING and FULL


def test_a_tree_without_it(objects: Objects) -> None:
    with objects.batch() as batch:
        root = batch.tree([TreeEntry("a", FILE, batch.blob(b"x"))])
        batch.seal()
    assert read_metadata(objects, root) == NOTHING


def test_only_what_is_asked_for_is_read(objects: Objects) -> None:
    root = root_of(objects, {"params.yaml": b"{broken", "metrics.yaml": b"acc: 1\n"})
    assert read_metadata(objects, root, files=(METRICS,)).metrics == {"acc": 1}
    with pytest.raises(ParseError, match=r"\.mvcmeta/params\.yaml: line"):
        read_metadata(objects, root)


def test_what_a_person_wrote_with_git_is_read(objects: Objects) -> None:
    files = {
        "params.yaml": b"# by hand\nlr:   1e-5\nopt: {name: 'adam'}\n",
        "datasets.yaml": b"d:\n    location: 's3://x'\n    size: many\n",
        "README.md": b"left alone",
        "other.yaml": b"{{{",
    }
    found = read_metadata(objects, root_of(objects, files))
    assert found.params == {"lr": 1e-5, "opt.name": "adam"}
    assert found.datasets == (Dataset("d", "s3://x"),)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("params.yaml", b"a: !!python/object/apply:os.system [ls]\n"),
        ("params.yaml", b"\xff\xfe"),
        ("params.yaml", b"a: 1\na.b: 2\n"),
        ("params.yaml", b"- list\n"),
        ("metrics.yaml", b" " * (MAX_BYTES + 1)),
        ("datasets.yaml", b"train: 5\n"),
        ("datasets.yaml", b"train:\n  digest: x\n"),
        (
            "environment.yaml",
            b"a: &a [1]\n" + b"".join(b"b%d: [%s]\n" % (n, b",".join([b"*a"] * 1000)) for n in range(20)),
        ),
    ],
)
def test_what_nobody_can_read_names_its_file(name: str, data: bytes, objects: Objects) -> None:
    with pytest.raises(ParseError, match=rf"\.mvcmeta/{name}"):
        read_metadata(objects, root_of(objects, {name: data}))


def test_a_link_is_not_followed(objects: Objects) -> None:
    assert read_metadata(objects, root_of(objects, {"params.yaml": b"/etc/passwd"}, mode=LINK)) == NOTHING


def test_what_is_too_large_is_refused(objects: Objects) -> None:
    with objects.batch() as batch, pytest.raises(ParseError, match="would be larger"):
        write_tree(batch, CommitMetadata(params={"a": "x" * (MAX_BYTES + 1)}))


@settings(max_examples=60, deadline=None)
@given(nested())
def test_any_params_come_back(objects: Objects, groups: dict[str, Any]) -> None:
    try:
        flat = flatten(groups)
    except ParseError:
        return
    if flat:
        with objects.batch() as batch:
            folder = write_tree(batch, CommitMetadata(params=flat))
            assert folder is not None
            root = batch.tree([TreeEntry(".mvcmeta", TREE, folder)], root=True)
            found = read_metadata(batch.reader, root).params
        assert same(sorted(found.items()), sorted(flat.items()))


def test_compare() -> None:
    old = CommitMetadata(
        params={"lr": 1, "gone": None, "same": math.nan, "list": [math.nan]},
        metrics={"acc": 0.5},
        datasets=(Dataset("d", "x", "blake3:1"),),
        environment={"python": "3.11", "command": "a"},
    )
    new = CommitMetadata(
        params={"lr": 1.0, "same": math.nan, "list": [math.nan], "new": None},
        metrics={"acc": 0.5},
        datasets=(Dataset("d", "x", "blake3:2"),),
        environment={"python": "3.12", "command": "b"},
    )
    found = compare(old, new)
    assert [(one.name, one.old, one.new, one.added, one.removed) for one in found.params] == [
        ("gone", None, None, False, True),
        ("lr", 1, 1.0, False, False),
        ("new", None, None, True, False),
    ]
    assert not found.metrics
    assert [(one.name, one.old.digest, one.new.digest) for one in found.datasets] == [("d", "blake3:1", "blake3:2")]
    assert [one.name for one in found.environment] == ["python"]
    assert found and not compare(old, old)


def test_the_written_form_is_stable() -> None:
    """Golden: a commit's id depends on these bytes."""
    golden = (Path(__file__).parent / "golden" / "params.yaml").read_text(encoding="utf-8")
    values = {
        "a": {"float": 1e-05, "int": -3, "nan": math.nan, "inf": -math.inf, "true": True, "null": None},
        "acc@dir/m.bin": 0.1,
        "empty": {"list": [], "group": {}},
        "list": [1, 2.5, "x", None, [True], {"k": "v"}],
        "text": {"plain": "two words", "yes": "no", "date": "2026-01-01", "odd": 'a"b\\c\n\té\u2028', "n": "1e5"},
    }
    assert dumps(values) == golden
