"""The catalogue follows the repository: each answer is that of a catalogue which is made anew (the fixture `find`)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mvc.catalogue import gather
from mvc.metadata.model import NOTES as NOTES_REF
from mvc.objects.aliases import write_step
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange
from mvc.repo.repository import Repository
from tests.catalogue.conftest import Find, rows
from tests.cli.world import History, git

WHO = Signature("Ann", "ann@x", 1_700_000_000)


def values(**sections: str) -> dict[str, str]:
    """Files of `.mvcmeta/`."""
    return {f".mvcmeta/{name}.yaml": text for name, text in sections.items()}


def test_new_commits_come_and_those_without_a_ref_go(folder: Path, history: History, find: Find) -> None:
    one = history.commit("one", {"a": "1", **values(metrics="acc: 0.5\n")})
    two = history.commit("two", {"a": "2", **values(metrics="acc: 0.3\n")}, parents=(one,))
    history.commit("side", {"b": "2", **values(metrics="acc: 0.2\n")}, parents=(one,), ref="refs/heads/side")
    history.tag("tip", two)
    history.write()
    side = git(folder, "rev-parse", "refs/heads/side").decode().strip()
    git(folder, "update-ref", "-d", "refs/heads/side")
    git(folder, "update-ref", "refs/heads/main", "tip~1")
    git(folder, "pack-refs", "--all")
    tip = git(folder, "rev-parse", "tip").decode().strip()
    git(folder, "update-ref", "-d", "refs/tags/tip")
    assert find() == ["one"]
    git(folder, "update-ref", "refs/heads/side", side)
    git(folder, "update-ref", "refs/heads/main", tip)
    assert find() == ["side", "two", "one"]
    assert find("branch = side") == ["side", "one"]
    assert find("metrics.acc > 0.4") == ["one"]
    assert find("path = b") == ["side"]
    git(folder, "update-ref", "-d", "refs/heads/side")
    assert find() == ["two", "one"]
    git(folder, "update-ref", "refs/heads/main", "refs/heads/main~1")
    assert find() == ["one"]
    git(folder, "tag", "v1")
    git(folder, "update-ref", "-d", "refs/heads/main")
    assert find("tag = v1") == ["one"]
    git(folder, "update-ref", "-d", "refs/tags/v1")
    assert find() == []


def test_each_kind_of_ref_is_looked_at(folder: Path, history: History, find: Find) -> None:
    one = history.commit("one", {"a": "1"}, ref="refs/remotes/origin/main")
    history.commit("step", {"a": "2"}, parents=(one,), ref="refs/runs/r/7/100")
    history.commit("note", {"a": "3"}, ref="refs/notes/other")
    history.commit("stash", {"a": "3"}, ref="refs/stash")
    history.commit("only by an alias", {"a": "4"}, ref="refs/heads/gone")
    history.write()
    repo = Repository.open(folder)
    target = repo.refs.read("refs/heads/gone")
    assert target is not None
    with repo.objects.batch() as batch:
        step = write_step(batch, "production", "set", target, None, WHO)
        batch.seal()
    repo.refs.update([RefChange("refs/aliases/production", None, step)], message="m", author=WHO)
    git(folder, "update-ref", "-d", "refs/heads/gone")
    assert set(find()) == {"one", "step", "only by an alias"}
    assert find("branch = origin/main") == ["one"]
    assert find("run = r/7") == ["step"]
    assert find("alias ~ 'prod*'") == ["only by an alias"]
    assert find("name ~ 'prod*' or name = 'r/7'") == ["only by an alias", "step"]
    with repo.objects.batch() as batch:
        gone = write_step(batch, "production", "remove", None, step, WHO)
        batch.seal()
    repo.refs.update([RefChange("refs/aliases/production", step, gone)], message="m", author=WHO)
    assert find("alias is not null") == []
    assert set(find()) == {"one", "step"}


def test_a_detached_head_is_searched_too(folder: Path, history: History, find: Find) -> None:
    history.commit("one", {"a": "1"})
    history.write()
    git(folder, "update-ref", "--no-deref", "HEAD", "refs/heads/main")
    git(folder, "update-ref", "-d", "refs/heads/main")
    assert find() == ["one"]


def test_what_is_said_later_counts(folder: Path, history: History, find: Find) -> None:
    one = history.commit("one", {"a": "1", **values(metrics="acc: 0.5\n", tags="task: ner\n")})
    history.commit("two", {"a": "2", **values(metrics="acc: 0.6\n")}, parents=(one,))
    history.write()
    first, second = (git(folder, "rev-parse", f"main~{n}").decode().strip() for n in (1, 0))
    assert find("metrics.acc > 0.9") == []

    def note(target: str, text: str) -> None:
        git(folder, "-c", "user.name=a", "-c", "user.email=a@x", "notes", "--ref=mvc", "add", "-f", "-m", text, target)

    note(first, '{"id": "1", "at": 1, "metrics": {"acc": 0.95}, "tags": {"checked": true}}')
    assert find("metrics.acc > 0.9 and tags.checked = true") == ["one"]
    assert find("metrics.acc = 0.5") == []
    note(second, '{"id": "2", "at": 1, "metrics": {"acc": 0.99}}')
    assert find("metrics.acc > 0.9") == ["two", "one"]
    git(folder, "-c", "user.name=a", "-c", "user.email=a@x", "tag", "-a", "-m", "x", "v1", first)
    note(git(folder, "rev-parse", "v1").decode().strip(), '{"id": "3", "at": 2, "metrics": {"acc": 0.1}}')
    assert find("metrics.acc < 0.2") == ["one"]
    git(folder, "update-ref", "-d", "refs/tags/v1")
    assert find("metrics.acc > 0.9") == ["two", "one"]
    git(folder, "update-ref", "-d", NOTES_REF)
    assert find("metrics.acc = 0.5") == ["one"]


def test_facts_of_a_commit(folder: Path, home: Path, history: History) -> None:
    card = "---\nmodel_name: Bert NER\ntags: [ner, 实体]\n---\n# 命名实体识别\n"
    one = history.commit("one", {"README.md": card, "a/b.txt": "12345"})
    history.commit("two\n\nmore of it\n", {"a/b.txt": "123", "c": "1"}, parents=(one,), author="Bob <b@x>")
    history.write()
    two, one_ = rows(folder, home)
    assert two.message == "two\n\nmore of it"
    assert (two.author.name, two.author.email, two.author.offset_minutes) == ("Bob", "b@x", 60)
    assert two.labels["path"] == ("a/b.txt", "c")
    assert two.size == len(card.encode()) + 4
    assert one_.size == len(card.encode()) + 5
    assert [row.subject for row in rows(folder, home, "实体 and name = 'Bert NER' and card ~ ner")] == ["two", "one"]
    assert [row.subject for row in rows(folder, home, "message ~ 'more of' and author = 'b@x'")] == ["two"]
    assert [row.subject for row in rows(folder, home, f"id = {one_.id[:8]} or size < 10")] == ["one"]


BAD = {
    "exploding": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b, *b]\n" * 3,
    "object": "a: !!python/object/apply:os.system ['true']\n",
    "twice": "a: 1\na: 2\n",
    "deep": "a:\n" + "".join(f"{'  ' * n}b:\n" for n in range(1, 120)),
    "latin": "a: caf\udce9\n",
}


@pytest.mark.parametrize("name", BAD)
def test_metadata_that_nobody_can_read_hides_no_commit(
    name: str, folder: Path, home: Path, history: History, find: Find
) -> None:
    history.commit("bad", {"a": "1", **values(params=BAD[name]).__class__(
        {key: text.encode("utf-8", "surrogateescape") for key, text in values(params=BAD[name]).items()}
    )})  # fmt: skip
    history.write()
    assert find() == ["bad"]
    assert rows(folder, home)[0].problem


def test_odd_values_and_names(folder: Path, home: Path, history: History, find: Find) -> None:
    metrics = 'nan: .nan\ninf: .inf\nhuge: 1e400\n"a b": 1\n学习率: 2\n"acc@m.safetensors": 0.9\nlist: [1, "a"]\n'
    history.commit("odd", {"a": "1", **values(metrics=metrics, params=f"big: {10**400}\nempty: null\n")})
    history.commit(
        "caf\udce9 \x1b[31m\0",
        {"b\udce9": "1", "README.md": "\xff\xfe\0broken ---\n" + "x" * 300_000},
        ref="refs/heads/b",
    )
    history.write()
    assert find("metrics.nan is nan and metrics.inf = inf and metrics.huge = '1e400'") == ["odd"]
    assert find("metrics.`a b` = 1 and metrics.学习率 >= 2 and metrics.`acc@m.safetensors` > .5") == ["odd"]
    assert find("params.big > 1e308 and params.empty is null and metrics.list like '%a%'") == ["odd"]
    row = next(row for row in rows(folder, home, "params.big is not null"))
    assert row.metrics["list"] == [1, "a"]
    assert row.params["big"] == 10**400 or row.params["big"] == float("inf")
    assert len(find()) == 2


def test_commits_that_are_not_there_are_told(folder: Path, home: Path, history: History) -> None:
    one = history.commit("one", {"a": "1"})
    history.commit("two", {"a": "2"}, parents=(one,))
    history.write()
    gone = git(folder, "rev-parse", "main~1").decode().strip()
    for pack in (folder / ".mvc/objects/pack").glob("*.pack"):
        data = pack.read_bytes()
        for each in (folder / ".mvc/objects/pack").glob(f"{pack.stem}.*"):
            each.unlink()
        git(folder, "unpack-objects", "-q", data=data)
    lost = folder / ".mvc/objects" / gone[:2] / gone[2:]
    kept = lost.read_bytes()
    lost.unlink()
    assert [row.subject for row in rows(folder, home)] == ["two"]
    lost.write_bytes(kept)
    assert [row.subject for row in rows(folder, home)] == ["two", "one"]


@pytest.mark.parametrize("seed", range(3))
def test_after_any_moves_of_refs_it_is_as_made_anew(
    seed: int, folder: Path, home: Path, history: History, find: Find
) -> None:
    """Branches, tags and runs are made, moved and removed at random."""
    rng = random.Random(seed)
    marks: list[int] = []
    for number in range(30):
        parents = tuple(dict.fromkeys(rng.sample(marks, min(len(marks), rng.choice((1, 1, 1, 2))))))
        meta = values(metrics=f"acc: {rng.random()}\nkind: {rng.choice('ab')}\n")
        marks.append(history.commit(f"c{number}", {f"f{number % 4}": str(number), **meta}, parents=parents))
        history.tag(f"t{number}", marks[-1])
    history.write()
    commits = [git(folder, "rev-parse", f"t{number}").decode().strip() for number in range(30)]
    names = ["refs/heads/a", "refs/heads/b", "refs/tags/x", "refs/runs/r/1", "refs/runs/r/2", "refs/remotes/o/a"]
    for number in range(30):
        git(folder, "update-ref", "-d", f"refs/tags/t{number}")
    git(folder, "update-ref", "-d", "refs/heads/main")
    for _ in range(12):
        for name in rng.sample(names, 2):
            if rng.random() < 0.3:
                git(folder, "update-ref", "-d", name)
            else:
                git(folder, "update-ref", name, rng.choice(commits))
        find()
        find("branch = a or metrics.kind = 'a'", sort=("metrics.acc:desc",))


def test_processes_that_read_find_the_same(
    folder: Path, home: Path, history: History, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    last: tuple[int, ...] = ()
    for number in range(450):
        meta = values(metrics=f"acc: 0.{number}\nodd: .nan\n", params=f"big: {2**70 + number}\nlist: [1, a]\n")
        files = {"a": "x" * number, "README.md": f"# 卡片 {number // 100}\n", "caf\udce9": "", **meta}
        last = (history.commit(f"c{number} caf\udce9\n", files, parents=last),)
    history.write()
    monkeypatch.setattr(gather, "MANY", 1)
    beside = rows(folder, None)
    monkeypatch.setattr(gather, "MANY", 10_000)
    assert len(beside) == 450
    assert list(map(repr, beside)) == list(map(repr, rows(folder, None)))
    monkeypatch.setattr(gather, "MANY", 1)
    monkeypatch.setattr(gather, "_PROGRAM", gather._PROGRAM.replace("serve()", "serve.__globals__['_BATCH']; exit()"))
    assert list(map(repr, beside)) == list(map(repr, rows(folder, None)))
    monkeypatch.setattr(gather, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    assert list(map(repr, beside)) == list(map(repr, rows(folder, None)))
