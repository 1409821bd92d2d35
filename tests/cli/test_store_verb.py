"""`mvc store`, the settings of the shared store, and several users of one machine with one store."""

from __future__ import annotations

import codecs
import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

import mvc as package
from mvc import fsio
from mvc.cli.main import main
from tests.cli.world import Mvc

SIZE = 300_000


@pytest.fixture
def shared(mvc: Mvc, repo: Path) -> Path:
    """A store that all repositories use, and a clone of what was pushed to `hub`."""
    mvc("config", "--global", "core.sharedStore", str(repo.parent / "store"))
    (repo / "model.bin").write_bytes(os.urandom(SIZE))
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", "first", cwd=repo)
    mvc("remote", "add", "origin", "../hub", cwd=repo)
    mvc("push", "-u", "origin", "main", cwd=repo)
    mvc("clone", "hub", "copy", cwd=repo.parent)
    return repo.parent / "store"


def age(store: Path) -> None:
    for path in store.rglob("*.pack"):
        os.utime(path, (time.time() - 7200,) * 2)


def test_ls_verify_and_prune(mvc: Mvc, shared: Path, repo: Path) -> None:
    top = shared.parent
    ran = mvc("store", "ls", cwd=top)
    assert ran.lines[0].startswith(f"{shared}: ") and "without a limit" in ran.lines[0]
    assert ran.lines[1].split("  ")[0] == "plain" and "1 pack" in ran.lines[1] and "used just now" in ran.lines[1]
    assert ran.lines[2:] == [str(top / "copy" / ".mvc")]
    assert len(mvc("store", "ls", "--packs", cwd=top).lines) == 4
    document = json.loads(mvc("store", "ls", "--json", cwd=top).out)
    assert document["schema"] == 1 and document["kind"] == "store-ls" and document["limit"] == 0
    (pack,) = document["spaces"][0]["packs"]
    assert document["size"] > pack["size"] > SIZE
    assert mvc("store", "verify", cwd=top).err == "checked 1 pack: all sound\n"

    assert mvc("store", "prune", cwd=top, code=2).err.startswith("error: down to how much?")
    ran = mvc("store", "prune", "--to", "0", cwd=top)
    assert "0 packs" in ran.err and "a short while ago" in ran.err
    ran = mvc("store", "prune", "--to", "0", "--unused-for", "0s", "--dry-run", cwd=top)
    assert pack["id"][:16] in ran.out and "would free" in ran.err
    mvc("config", "--global", "core.sharedStoreLimit", "100k")
    age(shared)
    document = json.loads(mvc("store", "prune", "--json", cwd=top).out)
    assert (document["goal"], document["freed"], document["unproven"]) == (102_400, pack["size"], 0)
    assert [one["id"] for one in document["removed"]] == [pack["id"]]
    assert not list(shared.rglob("*.pack"))
    mvc("reset", "--hard", cwd=top / "copy")
    mvc("fsck", cwd=top / "copy")


def test_what_is_damaged_is_told_and_taken_out(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    (pack,) = shared.rglob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    ran = mvc("store", "verify", cwd=top, code=6)
    assert f"plain/{pack.name}" in ran.out and "1 error" in ran.err
    document = json.loads(mvc("store", "verify", "--json", "--repair", cwd=top, code=6).out)
    assert len(document["damage"]) == len(document["removed"]) == 1
    assert mvc("store", "verify", cwd=top).err == "checked 0 packs: all sound\n"
    os.mkfifo(pack)
    assert "no regular file" in mvc("store", "verify", cwd=top, code=6).out


def test_damage_stays_if_no_remote_can_mend_it(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    (pack,) = shared.rglob("*.pack")
    shutil.rmtree(top / "hub")
    pack.write_bytes(pack.read_bytes()[:-100])
    ran = mvc("store", "verify", "--repair", cwd=top, code=6)
    assert "could not be asked" in ran.err and pack.exists()


def test_where_no_store_is(mvc: Mvc, tmp_path: Path, repo: Path) -> None:
    assert "no shared store is set" in mvc("store", "ls", cwd=tmp_path, code=2).err
    assert "there is no shared store" in mvc("store", "ls", cwd=tmp_path, code=4, MVC_STORE="nowhere").err
    assert "not an absolute path" in mvc("config", "core.sharedStore", "relative", cwd=repo, code=2).err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"")
    assert mvc("store", "ls", cwd=tmp_path, code=4, MVC_STORE="full").err


def test_the_environment_names_another_store(mvc: Mvc, shared: Path, repo: Path) -> None:
    top = shared.parent
    mvc("clone", "hub", "other", cwd=top, MVC_STORE="another")
    assert len(list((top / "another").rglob("*.pack"))) == 1
    assert (top / "other" / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    counted = json.loads(mvc("count-objects", "--json", cwd=top / "other").out)
    assert counted["chunks"]["chunks"] == 0
    age(top / "another")
    assert "freed" in mvc("store", "prune", "--to", "0", cwd=top / "other", MVC_STORE=str(top / "another")).err


def test_gc_moves_what_is_pushed(mvc: Mvc, shared: Path, repo: Path) -> None:
    told = json.loads(mvc("gc", "--prune=now", "--dry-run", "--json", cwd=repo).out)
    done = json.loads(mvc("gc", "--prune=now", "--yes", "--json", cwd=repo).out)
    assert done["moved"] == told["moved"] > 0 and done["chunks"] == 0 and done["moved_bytes"] >= SIZE
    assert json.loads(mvc("count-objects", "--json", cwd=repo).out)["chunks"]["chunks"] == 0
    mvc("fsck", cwd=repo)
    mvc("remote", "remove", "origin", cwd=repo)
    assert json.loads(mvc("count-objects", "--json", cwd=repo).out)["chunks"]["chunks"] == done["moved"]
    shutil.rmtree(shared)
    mvc("fsck", cwd=repo)


def test_a_linked_worktree_reads_it_too(mvc: Mvc, shared: Path) -> None:
    copy = shared.parent / "copy"
    mvc("worktree", "add", "-b", "side", "../side", cwd=copy)
    assert (shared.parent / "side" / "model.bin").read_bytes() == (copy / "model.bin").read_bytes()


# ---- several users

GROUP = 64100


class Machine:
    """Users of one group, whose umask is 077; a store for the group, and a remote that all may read."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.chmod(0o755)
        self.store, self.hub = top / "store", top / "hub"
        for folder in (self.store, self.hub):
            folder.mkdir()
            os.chown(folder, 0, GROUP)
            folder.chmod(0o2770)

    def home(self, uid: int) -> Path:
        home = self.top / str(uid)
        if not home.exists():
            home.mkdir(mode=0o700)
            os.chown(home, uid, uid)
        return home

    def mvc(self, uid: int, *arguments: str, code: int = 0, umask: int = 0o077) -> str:
        """What the command printed, run by that user: in a forked child, as the interpreter may be root's alone."""
        output = self.top / f"output-{uid}"
        home = self.home(uid)
        with open(output, "w+", encoding="utf-8") as out:
            child = os.fork()
            if child == 0:
                got = 99
                try:
                    self._become(uid, home, umask, out)
                    got = main(list(arguments))
                except BaseException:
                    traceback.print_exc(file=out)
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(got)
            got = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            text = out.read()
        assert got == code, text
        return text

    def chunks(self, uid: int) -> int:
        """How many chunks are in the user's own clone."""
        return int(json.loads(self.mvc(uid, "-C", "copy", "count-objects", "--json"))["chunks"]["chunks"])

    def _become(self, uid: int, home: Path, umask: int, out: IO[str]) -> None:
        sys.stdout = sys.stderr = out
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        os.setgroups([GROUP])
        os.setgid(uid)
        os.setuid(uid)
        os.umask(umask)
        fsio._known_umask = None
        os.chdir(home)
        os.environ.update(HOME=str(home), MVC_STORE=str(self.store))


@pytest.fixture
def machine() -> Iterator[Machine]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can be several users")
    top = Path(tempfile.mkdtemp(prefix="mvc-users-"))
    try:
        for module in pkgutil.walk_packages(package.__path__, "mvc."):
            if not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # of an extra
                    importlib.import_module(module.name)
        for name in ("ascii", "latin-1", "idna", "utf-8-sig"):  # a child may not read where Python has them
            codecs.lookup(name)
        yield Machine(top)
    finally:
        shutil.rmtree(top)


def publish(machine: Machine, uid: int, data: bytes, umask: int = 0o007) -> None:
    """A commit of that user, pushed to the hub. (Who pushes to a folder that is shared sets the umask for it.)"""
    work = machine.home(uid) / "work"
    if not work.exists():
        machine.mvc(uid, "init", "work")
        machine.mvc(uid, "-C", "work", "remote", "add", "origin", str(machine.hub))
    (work / "model.bin").write_bytes(data)
    os.chown(work / "model.bin", uid, uid)
    machine.mvc(uid, "-C", "work", "add", ".")
    machine.mvc(uid, "-C", "work", "commit", "-m", "m")
    machine.mvc(uid, "-C", "work", "push", "-u", "origin", "main", umask=umask)


def is_for_the_group(machine: Machine) -> None:
    for path in [machine.store, *machine.store.rglob("*")]:
        found = path.lstat()
        assert found.st_gid == GROUP, path
        wanted = 0o2770 if stat.S_ISDIR(found.st_mode) else 0o660
        assert stat.S_IMODE(found.st_mode) == wanted, f"{path}: {oct(found.st_mode)}"


def test_two_users_use_one_store_whatever_their_umask(machine: Machine) -> None:
    ann, bob, eve = 64001, 64002, 64003
    first, second = os.urandom(SIZE), os.urandom(SIZE)
    publish(machine, ann, first)
    machine.mvc(bob, "clone", str(machine.hub), "copy")
    is_for_the_group(machine)
    machine.mvc(eve, "clone", str(machine.hub), "copy")
    for uid in (bob, eve):
        copy = machine.home(uid) / "copy"
        assert (copy / "model.bin").read_bytes() == first
        assert machine.chunks(uid) == 0
    publish(machine, ann, second)
    machine.mvc(eve, "-C", "copy", "pull")
    machine.mvc(bob, "-C", "copy", "pull")
    assert len(list(machine.store.rglob("*.pack"))) == 2
    # Ann's own go there, too, and Bob makes room of what others brought, by his own remotes.
    machine.mvc(ann, "-C", "work", "gc", "--prune=now", "--yes")
    is_for_the_group(machine)
    machine.mvc(bob, "-C", "copy", "store", "verify")
    age(machine.store)
    assert len(machine.mvc(bob, "store", "ls").splitlines()) == 5
    machine.mvc(bob, "store", "prune", "--to", "0")
    assert not list(machine.store.rglob("*.pack"))
    machine.mvc(eve, "-C", "copy", "checkout", "HEAD~1")
    assert (machine.home(eve) / "copy" / "model.bin").read_bytes() == first
    for uid in (bob, eve):
        machine.mvc(uid, "-C", "copy", "fsck")
    machine.mvc(ann, "-C", "work", "fsck")
    is_for_the_group(machine)


def test_users_that_fetch_at_once(machine: Machine) -> None:
    ann = 64001
    data = os.urandom(4 * SIZE)
    publish(machine, ann, data)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda uid: machine.mvc(uid, "clone", str(machine.hub), "copy"), range(64002, 64006)))
    for uid in range(64002, 64006):
        assert (machine.home(uid) / "copy" / "model.bin").read_bytes() == data
        machine.mvc(uid, "-C", "copy", "fsck")
    machine.mvc(64002, "store", "verify")
    is_for_the_group(machine)


def test_who_may_not_write_there_reads_and_keeps_at_home(machine: Machine) -> None:
    ann, bob = 64001, 64002
    publish(machine, ann, os.urandom(SIZE))
    machine.mvc(ann, "clone", str(machine.hub), "copy")
    machine.store.chmod(0o755)
    for folder in machine.store.rglob("*"):
        folder.chmod(0o755 if folder.is_dir() else 0o644)
    machine.mvc(bob, "clone", str(machine.hub), "copy")
    assert machine.chunks(bob) == 0
    publish(machine, ann, os.urandom(SIZE))
    assert "cannot be used" in machine.mvc(bob, "-C", "copy", "pull")
    assert machine.chunks(bob) > 0
