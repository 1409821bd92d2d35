from __future__ import annotations

import contextlib
import os
import random
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import IntegrityError, MissingObject, UsageError
from mvc.objects import packentry
from mvc.objects.database import Objects
from mvc.objects.delta import apply_delta
from mvc.objects.encoding import blob_id
from mvc.objects.model import EMPTY_TREE, FILE, TreeEntry
from mvc.objects.packindex import PackIndex, dump_index
from mvc.objects.packset import PackSet
from mvc.objects.refs import RefChange
from mvc.objects.revparse import abbreviate
from tests.objects.realgit import WHO, RealGit


def contents(count: int = 30) -> list[bytes]:
    """Blobs that are much alike, so that git makes deltas of them."""
    chance = random.Random(7)
    base = bytes(chance.choices(b"abcdefgh \n", k=6000))
    found = []
    for at in range(count):
        cut = chance.randrange(5000)
        base = base[:cut] + f"change {at}".encode() + base[cut + 10 :]
        found.append(base)
    return [*found, b"", b"x" * 300_000, os.urandom(70_000)]


def test_loose_objects_of_git(git: RealGit) -> None:
    for data in contents():
        name = git.run("hash-object", "-w", "--stdin", data=data)
        assert git.objects.blob(name) == data
        assert git.objects.kind(name) == "blob"
        assert git.objects.size(name) == len(data)


@pytest.mark.parametrize(
    "options", [[], ["--delta-base-offset"], ["--window=50", "--depth=200", "--delta-base-offset"]]
)
@pytest.mark.parametrize("mapped", [True, False])
def test_packs_of_git(git: RealGit, options: list[str], mapped: bool) -> None:
    every = {git.run("hash-object", "-w", "--stdin", data=data): data for data in contents()}
    listed = "\n".join(f"{name} file" for name in every) + "\n"
    git.run("pack-objects", *options, "-q", str(git.path / "objects/pack/pack"), data=listed.encode())
    git.run("prune-packed")
    objects = Objects(git.path / "objects", mapped=mapped)
    shuffled = list(every)
    random.Random(1).shuffle(shuffled)
    for name in shuffled:
        assert objects.blob(name) == every[name]
        assert objects.kind(name) == "blob"
        assert objects.size(name) == len(every[name])
    assert sorted(objects.ids()) == sorted(every)
    pack = objects.packs.packs()[0]
    types = {packentry.read_entry(pack.file().read_at, offset).type for _, _, offset, _ in pack.spans()}
    assert types & {packentry.OFS_DELTA, packentry.REF_DELTA}


def test_a_small_delta_is_read_without_a_look_at_its_head(git: RealGit, monkeypatch: pytest.MonkeyPatch) -> None:
    every = {git.run("hash-object", "-w", "--stdin", data=data): data for data in contents()[:30]}
    listed = "\n".join(f"{name} file" for name in every) + "\n"
    git.run("pack-objects", "--delta-base-offset", "-q", str(git.path / "objects/pack/pack"), data=listed.encode())
    git.run("prune-packed")
    objects = Objects(git.path / "objects")
    pack = objects.packs.packs()[0]
    small = {name.hex() for name, _, at, _ in pack.spans() if pack.read_small(at, 1 << 20)}
    assert len(small) > 20
    heads: list[str] = []
    head = Objects._head
    monkeypatch.setattr(Objects, "_head", lambda self, name: heads.append(name) or head(self, name))
    for name, data in every.items():
        assert objects.blob_within(name, len(data)) == data
    assert set(heads) == set(every) - small
    for name, data in every.items():
        assert objects.blob_within(name, len(data) - 1) is None


def test_an_index_finds_the_same_by_search_and_in_its_table(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = [(chance.randbytes(20), number, 12 + 30 * number) for number in range(600)]
    (tmp_path / "x.idx").write_bytes(dump_index(rows, bytes(20)))
    searching, looking = PackIndex(tmp_path / "x.idx"), PackIndex(tmp_path / "x.idx")
    others = [(chance.randbytes(20), 0, None) for _ in range(50)]
    for at, (name, _, offset) in enumerate([*rows, *others]):
        if at % 30 == 0:
            searching = PackIndex(tmp_path / "x.idx")
        assert looking.find(name) == searching.find(name) == offset


def test_git_reads_a_batch(git: RealGit) -> None:
    with git.objects.batch() as batch:
        blobs = {batch.blob(data): data for data in contents()}
        tree = batch.tree([TreeEntry(f"f{at}", FILE, name) for at, name in enumerate(blobs)])
        commit = batch.commit(tree, (), WHO, WHO, "all")
        assert len(batch) == len(blobs) + 2
        for name, data in blobs.items():
            assert batch.reader.blob(name) == data
        assert batch.reader.commit(commit).tree == tree
        assert not Objects(git.path / "objects").contains(commit)
        pack = batch.seal()
    assert pack is not None and pack.exists()
    for name, data in blobs.items():
        assert git.raw("cat-file", "blob", name) == data
        assert git.objects.blob(name) == data
    git.run("update-ref", "refs/heads/main", commit)
    assert git.fsck() == ""
    assert "chain" not in git.run("verify-pack", "-v", str(pack))
    assert list((git.path / "tmp").iterdir()) == []


def test_what_exists_is_not_written_again(git: RealGit) -> None:
    loose = git.run("hash-object", "-w", "--stdin", data=b"loose")
    with git.objects.batch() as batch:
        batch.blob(b"packed")
        batch.seal()
    os.utime(git.path / "objects" / loose[:2] / loose[2:], (1, 1))
    with git.objects.batch() as batch:
        assert batch.blob(b"loose") == loose
        batch.blob(b"packed")
        assert len(batch) == 0
        assert batch.seal() is None
    # It was made young, so that a gc that runs now does not take it.
    assert (git.path / "objects" / loose[:2] / loose[2:]).stat().st_mtime > 1


def test_a_batch_that_is_left_leaves_nothing(git: RealGit) -> None:
    with pytest.raises(RuntimeError), git.objects.batch() as batch:
        name = batch.blob(os.urandom(3_000_000))
        raise RuntimeError
    assert not git.objects.contains(name)
    assert list((git.path / "tmp").iterdir()) == []
    assert list((git.path / "objects/pack").iterdir()) == []


def test_gc_never_takes_what_is_kept(git: RealGit) -> None:
    existing = git.run("hash-object", "-w", "--stdin", data=b"there, but unreachable")
    with git.objects.batch(keep="stage main") as batch:
        names = [batch.blob(b"staged"), batch.blob(b"there, but unreachable")]
        batch.seal()
    with git.objects.batch(keep="stage other") as batch:
        other = batch.blob(b"of another worktree")
        batch.seal()
    assert existing in names
    git.run("gc", "--prune=now", "-q")
    git.reopen()
    assert [git.objects.blob(name) for name in names] == [b"staged", b"there, but unreachable"]
    assert sorted(git.objects.kept().values()) == ["stage main", "stage other"]
    assert git.objects.drop_keep("stage main") == 1
    assert list(git.objects.kept().values()) == ["stage other"]
    git.run("gc", "--prune=now", "-q")
    git.reopen()
    assert not git.objects.contains(names[0])
    assert git.objects.contains(other)


def test_what_is_kept_already_is_not_kept_twice(git: RealGit) -> None:
    for count in (1, 0):
        with git.objects.batch(keep="stage main") as batch:
            batch.blob(b"staged")
            assert len(batch) == count
            batch.seal()


def test_a_pack_that_another_process_made_is_found(git: RealGit) -> None:
    other = Objects(git.path / "objects")
    assert not other.contains("1" * 40)
    with git.objects.batch() as batch:
        name = batch.blob(b"new")
        batch.seal()
    assert other.blob(name) == b"new"


def test_a_pack_that_git_removed_is_no_obstacle(git: RealGit) -> None:
    commit = git.commit()
    git.run("update-ref", "refs/heads/main", commit)
    reader, late = Objects(git.path / "objects"), Objects(git.path / "objects")
    assert reader.commit(commit).id == commit
    late.packs.packs()  # listed, not opened
    git.commit(commit)
    git.run("gc", "--prune=now", "-q")
    for objects in (reader, late):
        assert objects.commit(commit).id == commit
        assert objects.tree(objects.commit(commit).tree)[0].name == "file"


def test_alternates(git: RealGit, tmp_path: Path) -> None:
    commit = git.commit()
    other = RealGit(tmp_path / "other")
    (other.path / "objects/info/alternates").write_text("../../repo/objects\n")
    other.reopen()
    assert other.objects.commit(commit).id == commit
    assert commit in set(other.objects.ids())


def test_prefixes(git: RealGit) -> None:
    names = [git.run("hash-object", "-w", "--stdin", data=b"%d" % at) for at in range(20)]
    with git.objects.batch() as batch:
        names += [batch.blob(b"%d" % at) for at in range(20, 300)]
        batch.seal()
    for name in names:
        assert git.objects.resolve_prefix(name[:4]) == tuple(sorted(n for n in names if n.startswith(name[:4])))
        assert git.objects.resolve_prefix(name[:11].upper()) == (name,)
        short = git.objects.shortest_prefix(name)
        assert [n for n in names if n.startswith(name[:short])] == [name]
        assert short == 1 or len([n for n in names if n.startswith(name[: short - 1])]) > 1
    assert git.objects.resolve_prefix("abc") == git.objects.resolve_prefix("xyzxyz") == ()


def test_abbreviating_many_is_as_abbreviating_each(git: RealGit) -> None:
    with git.objects.batch() as batch:
        names = [batch.blob(b"%d" % at) for at in range(2000)]
        # Two pairs whose ids begin with the same seven digits.
        alike = [batch.blob(b"%d" % at) for at in (20738, 37901, 9544)]
        batch.seal()
    alike.append(git.run("hash-object", "-w", "--stdin", data=b"57556"))
    assert len({name[:7] for name in alike}) == 2
    many = Objects(git.path / "objects")
    for name in [*alike, *names, *alike]:
        short = abbreviate(many, name)
        assert len(short) == (many.shortest_prefix(name) if name in alike else 7)
        assert many.resolve_prefix(short) == (name,)
    assert many.alone(names[0]) and not many.alone(alike[0])
    later = git.run("hash-object", "-w", "--stdin", data=b"later")
    assert not many.alone(later) and abbreviate(many, later) == later[:7]


def test_errors(git: RealGit) -> None:
    commit = git.commit()
    with pytest.raises(MissingObject):
        git.objects.blob("1" * 40)
    with pytest.raises(IntegrityError, match="is a commit, not a blob"):
        git.objects.blob(commit)
    with pytest.raises(UsageError):
        git.objects.blob("../../HEAD")
    assert git.objects.tree(EMPTY_TREE) == []
    assert git.objects.raw(EMPTY_TREE) == ("tree", b"")


def test_every_flipped_bit_of_a_loose_object_is_found_or_harmless(git: RealGit) -> None:
    data = bytes(random.Random(3).choices(b"model weights ", k=90))
    name = git.run("hash-object", "-w", "--stdin", data=data)
    path = git.path / "objects" / name[:2] / name[2:]
    good = path.read_bytes()
    path.chmod(0o644)
    for bit in range(0, len(good) * 8, 3):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            assert git.objects.blob(name) == data
        except IntegrityError as error:
            assert name[2:] in error.message


def test_every_flipped_bit_of_a_pack_is_found_or_harmless(git: RealGit) -> None:
    texts = [b"some text %d, some text" % at for at in range(4)]
    with git.objects.batch() as batch:
        names = [batch.blob(data) for data in texts]
        pack = batch.seal()
    assert pack is not None
    good = pack.read_bytes()
    pack.chmod(0o644)
    found = 0
    for bit in range(12 * 8, (len(good) - 20) * 8, 3):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        pack.write_bytes(bad)
        objects = Objects(git.path / "objects")
        for name, data in zip(names, texts, strict=True):
            try:
                assert objects.blob(name) == data
            except IntegrityError as error:
                assert pack.name in error.message or name in error.message
                found += 1
        objects.close()
    assert found > 2 * (len(good) - 32)


@given(st.binary(max_size=9000))
def test_deflate_is_zlib(data: bytes) -> None:
    assert zlib.decompress(packentry.deflate(data)) == data


@given(st.integers(1, 7), st.integers(0, 2**31))
def test_heads_round_trip(type_number: int, size: int) -> None:
    if type_number in packentry.KIND_OF:
        head = packentry.parse_head(packentry.encode_head(type_number, size), 12)
        assert (head.type, head.size) == (type_number, size)


@given(st.integers(1, 2**40))
def test_offsets_round_trip(distance: int) -> None:
    data = packentry.encode_head(packentry.OFS_DELTA, 5) + packentry.encode_offset(distance)
    assert packentry.parse_head(data, distance + 12).base == 12


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_hostile_deltas_are_refused(base: bytes, delta: bytes) -> None:
    for attempt in (delta, bytes([len(base)]) + delta):
        with contextlib.suppress(IntegrityError):
            apply_delta(base, attempt)


@given(st.binary(max_size=80))
def test_hostile_entries_are_refused(data: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        packentry.read_entry(lambda at, length: data[at : at + length], 0)


def test_a_size_that_lies_costs_no_memory() -> None:
    bomb = packentry.encode_head(3, 100) + zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(IntegrityError):
        packentry.read_entry(lambda at, length: bomb[at : at + length], 0)


def test_many_threads_fill_a_batch(git: RealGit) -> None:
    with git.objects.batch() as batch:

        def fill(number: int) -> None:
            for at in range(300):
                data = b"%d of %d" % (at, number % 3)
                assert batch.blob(data) == blob_id(data)
                assert batch.reader.blob(blob_id(data)) == data

        threads = [threading.Thread(target=fill, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(batch) == 900
        batch.seal()
    assert git.fsck().count("dangling blob") == 900


def test_dulwich_reads_what_we_write(git: RealGit) -> None:
    dulwich = pytest.importorskip("dulwich.repo")
    first = git.commit(message="one", files={"a": b"x" * 5000, "b": b"y"})
    second = git.commit(first, message="two")
    git.refs.update([RefChange("HEAD", None, second)], message="made", author=WHO)
    with dulwich.Repo(str(git.path)) as repo:
        assert repo.head() == second.encode()
        assert [entry.commit.id.decode() for entry in repo.get_walker()] == [second, first]
        tree = repo[repo[first.encode()].tree]
        assert repo[tree[b"a"][1]].data == b"x" * 5000
        assert repo[second.encode()].author == b"A U Thor <author@example.org>"


def test_a_pack_that_came_while_another_thread_looked_again(git: RealGit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of two threads sees that the list of packs has changed."""
    objects = Objects(git.path / "objects")
    assert not list(objects.ids())
    commit = git.commit()
    reload = PackSet.reload

    def beside(self: PackSet) -> bool:
        if self is objects.packs:
            reload(self)
        return reload(self)

    monkeypatch.setattr(PackSet, "reload", beside)
    assert objects.commit(commit).message == "text\n" and objects.contains(commit)
