"""`mvc import dvc`, on projects written as DVC 3 and DVC 2 write them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mvc.backends.open import open_backend
from mvc.errors import IntegrityError, NotFound, Refused, UnsafePath, UsageError
from mvc.importers.dvc import DvcSource
from mvc.metadata.model import Dataset, Point
from mvc.objects import trees
from mvc.objects.model import EXEC
from mvc.repo.create import init
from mvc.repo.locking import read_stage
from mvc.repo.status import read_status
from tests.backends import servers
from tests.importers.importing import Target
from tests.importers.making import DvcProject, git, md5, noise, put


def source(project: DvcProject, **options: object) -> DvcSource:
    return DvcSource(project.path, {}, **options)  # type: ignore[arg-type]


@pytest.fixture(params=[True, False], ids=["dvc3", "dvc2"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> DvcProject:
    return DvcProject(tmp_path / "project", new=request.param)


@pytest.fixture
def modern(tmp_path: Path) -> DvcProject:
    """Where the layout does not matter."""
    return DvcProject(tmp_path / "project")


def test_history_comes_with_contents(project: DvcProject, target: Target) -> None:
    put(project.path / "train.py", "print()\n")
    put(project.path / "params.yaml", "lr: 0.1\nmodel: {depth: 3}\n")
    project.add("model.bin", noise(1))
    project.add_folder("data", {"a.txt": b"a", "sub/b.bin": noise(2)})
    one = project.commit("First\n\nwith a body")
    git(project.path, "tag", "-a", "v1", "-m", "the first", when=1_700_005_000)
    git(project.path, "switch", "-qc", "side")
    put(project.path / "s.txt", "side\n")
    side = project.commit("side")
    git(project.path, "switch", "-q", "main")
    project.add("model.bin", noise(3), isexec=True)
    two = project.commit("second")
    git(project.path, "merge", "-q", "--no-edit", "side", when=1_700_009_000)
    done = target.take(source(project))
    assert (done.new, done.total, done.missing) == (4, 4, ())
    files = target.files("v1")
    assert files == {
        "data/a.txt": b"a",
        "data/sub/b.bin": noise(2),
        "model.bin": noise(1),
        "params.yaml": b"lr: 0.1\nmodel: {depth: 3}\n",
        "train.py": b"print()\n",
    }
    merge = target.commit("main")
    assert merge.parents == (done.commits[two], done.commits[side])
    assert target.files("main")["model.bin"] == noise(3)
    items = trees.flatten(target.repo.objects, merge.tree)
    assert items["model.bin"].mode == EXEC
    first = target.commit("v1")
    assert (first.id, first.message) == (done.commits[one], "First\n\nwith a body\n")
    assert str(first.author) == "Ann Öther <ann@example.org>"
    assert (first.author.time, first.author.offset_minutes) == (1_700_001_000, 330)
    assert (first.committer.name, first.committer.time, first.committer.offset_minutes) == (
        "Con Mitter",
        1_700_001_060,
        -120,
    )
    tag = target.repo.objects.tag(target.repo.refs.list("refs/tags/")["refs/tags/v1"])
    assert (tag.name, tag.message) == ("v1", "the first\n")
    known = target.known("v1")
    assert known.params == {"lr": 0.1, "model.depth": 3}
    assert known.environment == {"code.commit": one}
    assert target.repo.refs.head().branch == "refs/heads/main"
    target.check()


def test_the_same_again_brings_what_is_new(project: DvcProject, target: Target) -> None:
    project.add("model.bin", noise(1))
    project.commit("one")
    target.take(source(project))
    again = target.take(source(project))
    assert (again.new, again.contents, again.refs, again.stored) == (0, 0, (), 0)
    project.add("other.bin", noise(2))
    project.commit("two")
    more = target.take(source(project))
    assert (more.new, more.contents, more.total) == (1, 1, 2)
    assert [one.ref for one in more.refs] == ["refs/heads/main"]
    assert target.commit("main~1").summary == "one"
    target.check()


def test_only_models(modern: DvcProject, target: Target) -> None:
    put(modern.path / "train.py", "print()\n")
    modern.add("out/model.bin", noise(1))
    modern.commit("one")
    target.take(source(modern, models_only=True), variant="models")
    assert list(target.files("main")) == ["out/model.bin"]


def test_what_is_missing_is_named_and_nothing_written(project: DvcProject, target: Target) -> None:
    project.add("here.bin", noise(1))
    digest = project.add("lost.bin", noise(2))
    folder = project.add_folder("lost", {"a": b"a"})
    project.cache(digest, b"").unlink()
    project.cache(folder, b"").unlink()
    project.commit("one")
    before = sorted(os.listdir(target.path / ".mvc"))
    with pytest.raises(Refused, match=r"'lost', 'lost\.bin'"):
        target.take(source(project))
    assert sorted(os.listdir(target.path / ".mvc")) == before
    assert not target.repo.refs.list()
    done = target.take(source(project), allow_missing=True, variant="+")
    assert done.missing == ("lost", "lost.bin")
    assert list(target.files("main")) == ["here.bin"]
    project.cache(digest, noise(2))
    project.add_folder("lost", {"a": b"a"})
    target.take(source(project))  # the holes are filled: the branch that an import made may move
    assert target.files("main") == {"here.bin": noise(1), "lost.bin": noise(2), "lost/a": b"a"}


def test_remote_folder_has_what_the_cache_lacks(project: DvcProject, target: Target, tmp_path: Path) -> None:
    digest = project.add("model.bin", noise(1, 9_000_000))
    small = project.add("small.txt", b"small")
    store = tmp_path / "store"
    for name, data in ((digest, noise(1, 9_000_000)), (small, b"small")):
        project.cache(name, b"").unlink()
        project.cache(name, data, store)
    put(project.path / ".dvc/config", "[core]\n    remote = st\n['remote \"st\"']\n    url = ../../store\n")
    project.commit("one")
    with pytest.raises(Refused):
        target.take(source(project, remote=""))
    target.take(source(project))
    assert target.files("main")["model.bin"] == noise(1, 9_000_000)
    target.check()


def test_damaged_cache(project: DvcProject, target: Target) -> None:
    digest = project.add("model.bin", noise(1))
    project.commit("one")
    project.cache(digest, noise(2))
    with pytest.raises(IntegrityError, match=r"'model\.bin' is damaged in the source"):
        target.take(source(project))
    assert not target.repo.refs.list("refs/heads/")
    project.cache(digest, noise(1))
    target.take(source(project))
    target.check()


def test_digest_of_dvc_2_sees_line_ends_as_unix_does(target: Target, tmp_path: Path) -> None:
    project = DvcProject(tmp_path / "project", new=False)
    text = b"a,b\r\n" * 300_000  # over several blocks, and a CRLF across the border of two
    digest = md5(b"".join(text[at : at + 2**20].replace(b"\r\n", b"\n") for at in range(0, len(text), 2**20)))
    project.cache(digest, text)
    put(project.path / "data.csv.dvc", f"outs:\n- md5: {digest}\n  size: {len(text)}\n  path: data.csv\n")
    project.commit("one")
    target.take(source(project))
    assert target.files("main")["data.csv"] == text


def test_pipeline(project: DvcProject, target: Target) -> None:
    model, cached = noise(1), b'{"loss": 0.25}'
    project.cache(md5(model), model)
    project.cache(md5(cached), cached)
    put(project.path / "metrics.json", '{"acc": 0.9, "f1": {"macro": 0.5}}')
    put(project.path / "more.yaml", "loss: 0.5\n")
    put(
        project.path / "dvc.yaml",
        "stages:\n  train:\n    cmd: python train.py\n    deps: [data]\n    params: [lr, {more.yaml: null}]\n"
        "    outs: [model.bin]\n"
        "    metrics:\n    - metrics.json: {cache: false}\n    - cached.json\n    - more.yaml: {cache: false}\n",
    )
    key = "      hash: md5\n" if project._new else ""
    outs = "".join(
        f"    - path: {name}\n{key}      md5: {md5(data)}\n      size: {len(data)}\n"
        for name, data in (("model.bin", model), ("cached.json", cached))
    )
    deps = f"    - path: data\n      md5: {'0' * 32}.dir\n      size: 5\n      nfiles: 2\n"
    put(project.path / "dvc.lock", f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    deps:\n{deps}    outs:\n{outs}")
    put(project.path / "dvclive/plots/metrics/train/loss.tsv", "step\tloss\n0\t1.0\n1\t0.5\nx\ty\n")
    project.commit("one")
    target.take(source(project))
    known = target.known("main")
    assert known.metrics == {"acc": 0.9, "f1.macro": 0.5, "cached.loss": 0.25, "more.loss": 0.5}
    assert known.datasets == (Dataset("data", "data", f"md5:{'0' * 32}.dir", 5, 2),)
    assert known.series == (Point(0, {"train.loss": 1}), Point(1, {"train.loss": 0.5}))
    assert target.files("main")["model.bin"] == model
    assert "dvc.lock" in target.files("main")


def test_into_the_project_itself(modern: DvcProject, tmp_path: Path) -> None:
    put(modern.path / "train.py", "print()\n")
    modern.add("model.bin", noise(1))
    put(modern.path / ".gitignore", "/model.bin\n")
    modern.commit("one")
    put(modern.path / "model.bin", noise(1))
    init(modern.path, initial_branch="main")
    target = Target(tmp_path / "unused")
    target.path = modern.path
    done = target.take(source(modern, models_only=True), variant="models")
    assert done.checked_out
    found = read_status(target.repo, read_stage(target.repo))
    assert not found.staged and not found.unstaged, found


@pytest.mark.parametrize(
    "path", ["../out.bin", "/etc/passwd.bin", ".mvc/config", ".git/config", "a/../../b", ".MVC/x", ".mvcmeta/x"]
)
def test_paths_that_leave(modern: DvcProject, target: Target, path: str) -> None:
    modern.cache(md5(b"x"), b"x")
    put(modern.path / "x.dvc", f"outs:\n- md5: {md5(b'x')}\n  size: 1\n  hash: md5\n  path: {path}\n")
    modern.commit("one")
    if path.startswith("/"):
        assert target.take(source(modern)).warnings
        assert not any("passwd" in one for one in target.files("main"))
        return
    with pytest.raises(UnsafePath):
        target.take(source(modern))
    assert not target.repo.refs.list()


@pytest.mark.parametrize("inner", ["../x", "a/../../x", "/x", "", ".", "a//b", ".mvc/config", "x\0y"])
def test_folders_whose_files_leave(modern: DvcProject, target: Target, inner: str) -> None:
    modern.add_folder("data", {inner: b"x"})
    modern.commit("one")
    with pytest.raises(UnsafePath):
        target.take(source(modern))


@pytest.mark.parametrize(
    "text",
    [
        "outs: 7",
        "outs:\n- path: [1]",
        "<<<<<<< HEAD\nouts: []\n=======\n",
        "outs: !!python/object/apply:os.system ['touch /tmp/pwned']",
        "a: &a [x]\nb: &b [*a, *a, *a]\nouts: *b",
        "outs:\n- &x {path: *x}",
        "\xff",
        "[" * 5000,
    ],
)
def test_files_that_make_no_sense_are_named(modern: DvcProject, target: Target, text: str) -> None:
    modern.add("model.bin", noise(1))
    put(modern.path / "bad.dvc", text.encode("latin-1"))
    modern.commit("one")
    with pytest.raises(Refused, match=r"'bad\.dvc'"):
        target.take(source(modern))
    done = target.take(source(modern), allow_missing=True)
    assert any("bad.dvc" in one for one in done.warnings)
    assert "model.bin" in target.files("main")


def test_bad_params_cost_the_params(modern: DvcProject, target: Target) -> None:
    put(modern.path / "params.yaml", "a: 1\na: 2\n")
    modern.add("model.bin", noise(1))
    modern.commit("one")
    done = target.take(source(modern))
    assert any("'a' stands twice" in one for one in done.warnings)
    assert not target.known("main").params


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no folder \.dvc"):
        DvcSource(tmp_path, {})
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(NotFound, match="in no Git repository"):
        DvcSource(tmp_path, {})


def test_a_remote_that_there_is_no_way_to(modern: DvcProject, target: Target) -> None:
    put(modern.path / ".dvc/config", "[core]\n remote = g\n['remote \"g\"']\n url = gdrive://x\n")
    digest = modern.add("model.bin", noise(1))
    modern.cache(digest, b"").unlink()
    modern.commit("one")
    with pytest.raises(Refused):  # not asked, unless it is named
        target.take(source(modern))
    assert any("--remote g" in one for one in target.heard.warnings)
    with pytest.raises(UsageError, match="no way to a DVC remote of gdrive://"):
        target.take(source(modern, remote="g"))


@pytest.mark.skipif(servers.program("rclone") is None, reason="rclone is not installed")
def test_a_remote_in_a_bucket(modern: DvcProject, target: Target, tmp_path: Path) -> None:
    data = noise(1, 20_000_000)
    digest = modern.add("model.bin", data)
    place = modern.cache(digest, b"")
    place.unlink()
    (tmp_path / "s3").mkdir()
    with servers.rclone(tmp_path / "s3") as server:
        bucket, _, query = server.url.partition("?")
        endpoint = parse_qs(query)["endpoint"][0]
        store = open_backend(server.url, environment=server.environment)
        store.put(place.relative_to(modern.path / ".dvc/cache").as_posix(), data)
        store.close()
        lines = f"[core]\n remote = s\n['remote \"s\"']\n url = {bucket}\n endpointurl = {endpoint}\n"
        put(modern.path / ".dvc/config", lines)
        modern.commit("one")
        with pytest.raises(Refused):
            target.take(source(modern))
        target.take(DvcSource(modern.path, server.environment, remote="s"))
    assert target.files("main")["model.bin"] == data
    target.check()


def test_experiments(modern: DvcProject, target: Target) -> None:
    modern.add("model.bin", noise(1))
    base = modern.commit("one")
    git(modern.path, "switch", "-qc", "tmp")
    modern.add("model.bin", noise(2))
    trial = modern.commit("trial")
    git(modern.path, "switch", "-q", "main")
    git(modern.path, "branch", "-qD", "tmp")
    for name in (f"{base[:2]}/{base[2:]}/puny-smee", "exec/EXEC_HEAD", f"celery/{base}/x", "stash"):
        git(modern.path, "update-ref", f"refs/exps/{name}", trial)
    assert target.take(source(modern)).new == 1
    done = target.take(source(modern, experiments=True))
    assert [one.ref for one in done.refs] == ["refs/heads/exp/puny-smee"]
    assert target.files("exp/puny-smee")["model.bin"] == noise(2)


def test_a_source_that_moves_on_meanwhile(modern: DvcProject, target: Target) -> None:
    modern.add("model.bin", noise(1))
    first = modern.commit("one")
    opened = source(modern)
    opened.ids()
    modern.add("model.bin", noise(2))
    modern.commit("two")
    assert list(target.take(opened).commits) == [first]
    assert target.take(source(modern)).new == 1


def test_a_file_that_is_a_folder_too(modern: DvcProject, target: Target) -> None:
    modern.add("a", noise(1))
    put(modern.path / "x.dvc", f"outs:\n- md5: {md5(noise(1))}\n  hash: md5\n  path: a/b/c\n")
    modern.commit("one")
    with pytest.raises(UnsafePath, match="is a file, or lies in one"):
        target.take(source(modern))
