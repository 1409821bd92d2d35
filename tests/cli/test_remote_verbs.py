"""`clone`, `push`, `fetch`, `pull`, `remote`, `ls-remote` with a model in chunks, and a remote in a folder."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.world import Mvc

SIZE = 300_000


def weights(seed: int) -> bytes:
    """Bytes that no codec makes smaller; the same in each run, for how many chunks they become tells in the sizes."""
    return random.Random(seed).randbytes(SIZE)


@pytest.fixture
def shared(mvc: Mvc, repo: Path) -> Path:
    """Two versions of a model, the second tagged v2, pushed to `hub` beside it; returns that folder."""
    for number in (1, 2):
        (repo / "model.bin").write_bytes(weights(number))
        (repo / "readme").write_text(str(number))
        mvc("add", ".", cwd=repo)
        mvc("commit", "-m", f"version {number}", cwd=repo)
    mvc("tag", "v2", cwd=repo)
    mvc("tag", "-m", "the first", "v1", "HEAD~1", cwd=repo)
    mvc("remote", "add", "origin", "../hub", cwd=repo)
    mvc("push", "-u", "origin", "main", "v1", "v2", cwd=repo)
    return repo.parent / "hub"


def chunks(mvc: Mvc, path: Path) -> int:
    return int(json.loads(mvc("count-objects", "--json", cwd=path).out)["chunks"]["chunks"])


def test_a_push_tells_what_goes_and_what_went(mvc: Mvc, shared: Path, repo: Path) -> None:
    (repo / "model.bin").write_bytes(weights(3))
    mvc("commit", "-am", "third", cwd=repo)
    ran = mvc("push", "--dry-run", cwd=repo)
    assert "300 kB  of  300 kB  model.bin" in ran.out and "would move 30" in ran.out
    before = sorted(shared.rglob("*"))
    document = json.loads(mvc("push", "--dry-run", "--json", cwd=repo).out)
    assert [one["path"] for one in document["files"]] == ["model.bin"] and document["bytes_of_model"] == SIZE
    assert sorted(shared.rglob("*")) == before
    ran = mvc("push", cwd=repo)
    assert ran.out == "" and "for 300 kB of model (10" in ran.err
    document = json.loads(mvc("push", "--json", cwd=repo).out)
    assert [one["status"] for one in document["refs"]] == ["up-to-date"] and document["bytes_sent"] == 0


def test_a_clone_has_what_is_checked_out_and_gets_the_rest_when_it_is_needed(
    mvc: Mvc, shared: Path, repo: Path
) -> None:
    top = shared.parent
    ran = mvc("clone", "hub", "copy", cwd=top)
    copy = top / "copy"
    assert (copy / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    assert ran.err.splitlines()[0] == "Cloning into 'copy'..." and "of model" in ran.err
    assert mvc("status", "-sb", cwd=copy).out == "## main...origin/main\n"
    few = chunks(mvc, copy)
    assert few < chunks(mvc, repo)
    mvc("switch", "--detach", "v1", cwd=copy)
    assert (copy / "readme").read_text() == "1"
    assert chunks(mvc, copy) == chunks(mvc, repo)
    assert mvc("fsck", cwd=copy).code == 0
    mvc("clone", "--all-data", "hub", "whole", cwd=top)
    assert chunks(mvc, top / "whole") == chunks(mvc, repo)


def test_what_a_clone_is_asked_to_check_out(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    mvc("clone", "-n", "hub", "bare", cwd=top)
    assert [path.name for path in (top / "bare").iterdir()] == [".mvc"] and chunks(mvc, top / "bare") == 0
    mvc("reset", "--hard", cwd=top / "bare")
    assert (top / "bare" / "model.bin").stat().st_size == SIZE
    ran = mvc("clone", "-b", "v1", "-o", "far", f"file://{shared}", "old", cwd=top)
    assert "on no branch" in ran.err and (top / "old" / "readme").read_text() == "1"
    assert mvc("branch", "-r", cwd=top / "old").lines == ["  far/HEAD -> far/main", "  far/main"]
    document = json.loads(mvc("clone", "--json", "hub", "told", cwd=top).out)
    assert document["branch"] == "refs/heads/main" and document["bytes_of_model"] == SIZE + 1


def test_a_clone_that_fails_leaves_nothing(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    (top / "full").mkdir()
    (top / "full" / "mine").write_text("x")
    (top / "there").mkdir()
    assert "not an empty directory" in mvc("clone", "hub", "full", cwd=top, code=5).err
    assert "not found in upstream" in mvc("clone", "-b", "nope", "hub", "there", cwd=top, code=4).err
    assert mvc("clone", "nowhere", cwd=top, code=4)
    assert mvc("clone", "https://me:secret@host/x", "web", cwd=top, code=5).err.count("secret") == 0
    assert list((top / "there").iterdir()) == [] and (top / "full" / "mine").read_text() == "x"
    assert not (top / "nowhere").exists() and not (top / "web").exists()


def test_a_clone_that_fails_later_tells_how_to_go_on(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    away = top / "away"
    shutil.move(shared / "packs", away)
    ran = mvc("clone", "hub", "copy", cwd=top, code=6)
    assert f"mvc -C {top / 'copy'} reset --hard" in ran.err
    shutil.move(away, shared / "packs")
    mvc("reset", "--hard", cwd=top / "copy")
    assert (top / "copy" / "model.bin").stat().st_size == SIZE
    assert mvc("status", "--porcelain", cwd=top / "copy").out == ""


def test_a_pull_brings_chunks_and_tells_how_many(mvc: Mvc, shared: Path, repo: Path) -> None:
    copy = shared.parent / "copy"
    mvc("clone", "hub", "copy", cwd=shared.parent)
    (repo / "model.bin").write_bytes(weights(4))
    mvc("commit", "-am", "third", cwd=repo)
    mvc("push", cwd=repo)
    ran = mvc("pull", cwd=copy)
    assert "Fast-forward" in ran.lines and "for 300 kB of model" in ran.err
    assert (copy / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    document = json.loads(mvc("pull", "--json", cwd=copy).out)
    assert document["merge"]["outcome"] == "up-to-date" and document["fetch"]["objects"] == 0


def test_a_remote_by_its_url(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("push", "../other", "main", cwd=repo)
    ran = mvc("fetch", "../other", "main", cwd=repo)
    assert " * branch            main       -> FETCH_HEAD" in ran.err.splitlines()
    assert mvc("rev-parse", "FETCH_HEAD", cwd=repo).out == mvc("rev-parse", "HEAD", cwd=repo).out
    assert mvc("pull", "../other", "main", cwd=repo).lines == ["Already up to date."]
    # Also from outside of any repository.
    assert mvc("ls-remote", "other", cwd=repo.parent).lines[0].endswith("\tHEAD")
    assert mvc("ls-remote", cwd=repo.parent, code=3)
    assert mvc("ls-remote", "--exit-code", "other", "nope", cwd=repo.parent, code=2).out == ""


def test_a_repository_that_somebody_works_in_is_no_remote(mvc: Mvc, shared: Path, repo: Path) -> None:
    copy = shared.parent / "copy"
    mvc("clone", "hub", "copy", cwd=shared.parent)
    before = sorted(copy.rglob("*"))
    for url in ("../copy", "../copy/.mvc", copy.as_uri()):
        for verb in (("push", url, "main"), ("fetch", url), ("clone", url, "again")):
            ran = mvc(*verb, cwd=repo, code=5)
            assert "is a repository that somebody works in" in ran.err and "push to a folder beside it" in ran.err
    assert sorted(copy.rglob("*")) == before and not (repo / "again").exists()
    # What was pushed there by an older mvc can be had.
    (copy / "mvc-remote").write_bytes((shared / "mvc-remote").read_bytes())
    mvc("push", "../copy", "main", cwd=repo)


def test_no_password_gets_into_the_config(mvc: Mvc, repo: Path) -> None:
    for arguments in (["add", "web", "https://me:secret@host/x"], ["add", "s", "s3://a:secret@bucket/x"]):
        ran = mvc("remote", *arguments, cwd=repo, code=5)
        assert "secret" not in ran.err and "password" in ran.err
    mvc("remote", "add", "origin", "/srv/x", cwd=repo)
    mvc("remote", "set-url", "origin", "https://me:secret@host/x", cwd=repo, code=5)
    assert "secret" not in (repo / ".mvc" / "config").read_text()


def test_a_branch_that_is_pushed_the_first_time_can_follow_by_itself(mvc: Mvc, shared: Path, repo: Path) -> None:
    mvc("switch", "-c", "topic", cwd=repo)
    assert "mvc push --set-upstream origin topic" in mvc("push", cwd=repo, code=5).err
    mvc("config", "push.autoSetupRemote", "true", cwd=repo)
    assert mvc("push", cwd=repo).out == "branch 'topic' set up to track 'origin/topic'.\n"
    assert mvc("status", "-sb", cwd=repo).out == "## topic...origin/topic\n"


def test_completion_of_remotes_and_their_branches(mvc: Mvc, shared: Path, repo: Path) -> None:
    def complete(*words: str) -> list[str]:
        environment = {"_MVC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["mvc", *words])}
        ran = mvc(cwd=repo, COMP_CWORD=str(len(words)), **environment)
        return ran.lines

    assert complete("fetch", "o") == ["plain,origin"]
    assert complete("fetch", "origin", "m") == ["plain,main"]
    assert complete("push", "origin", "v") == ["plain,v1", "plain,v2"]
    assert complete("remote", "remove", "o") == ["plain,origin"]


def test_a_rate_is_kept_and_refused(mvc: Mvc, shared: Path, repo: Path) -> None:
    top = shared.parent
    mvc("clone", "--limit-rate", "down=10M", "-j", "2", "hub", "slow", cwd=top)
    assert (top / "slow" / "model.bin").stat().st_size == SIZE
    (repo / "model.bin").write_bytes(weights(5))
    mvc("commit", "-am", "third", cwd=repo)
    start = time.monotonic()
    mvc("push", "--limit-rate", "up=600k", cwd=repo)
    assert time.monotonic() - start > SIZE / 600_000 * 0.9
    # What is set holds for what comes by itself, too; what is said goes before it.
    mvc("config", "remote.origin.limitRate", "down=600k", cwd=top / "slow")
    mvc("fetch", "--limit-rate", "1G", cwd=top / "slow")
    start = time.monotonic()
    mvc("restore", "-s", "origin/main", "model.bin", cwd=top / "slow")
    assert time.monotonic() - start > SIZE / 600_000 * 0.9
    assert "is no rate" in mvc("pull", "--limit-rate", "quick", cwd=top / "slow", code=2).err
    assert "is no rate" in mvc("config", "transfer.limitRate", "quick", cwd=repo, code=2).err


def test_drop_and_whereis(mvc: Mvc, shared: Path, repo: Path) -> None:
    assert [line.split() for line in mvc("whereis", cwd=repo).lines] == [["model.bin", "300", "kB", "here,", "origin"]]
    told = mvc("drop", "--dry-run", "v1", cwd=repo)
    assert told.out.startswith("   300 kB  of  300 kB  model.bin") and told.err.startswith("would free 300 kB")
    assert "nobody is there to answer" in mvc("drop", "v1", cwd=repo, code=2).err
    assert mvc("whereis", "v1", cwd=repo).out.endswith("here, origin\n")
    assert mvc("drop", "-y", "v1", cwd=repo).err.startswith("freed 300 kB")
    assert mvc("whereis", "v1", cwd=repo).out.endswith("  origin\n")
    assert len(mvc("cat-file", "--content", "v1:model.bin", cwd=repo).raw) == SIZE
    document = json.loads(mvc("drop", "-y", "--json", "v1:model.bin", cwd=repo).out)
    assert [file["path"] for file in document["files"]] == ["model.bin"]
    # Of what is checked out the file stays, and is known to be as it was committed.
    mvc("drop", "-y", "--", "model.bin", cwd=repo)
    assert chunks(mvc, repo) == 0 and mvc("status", "--porcelain", cwd=repo).out == ""
    (repo / "model.bin").unlink()
    mvc("restore", "model.bin", cwd=repo)
    (repo / "model.bin").write_bytes(weights(6))
    mvc("commit", "-am", "third", cwd=repo)
    ran = mvc("drop", "-y", "HEAD", cwd=repo, code=5)
    assert "of  300 kB  model.bin" in ran.err and "no remote was seen to hold" in ran.err
    shared.rename(shared.parent / "away")
    ran = mvc("whereis", "v1", cwd=repo)
    assert "told as last seen" in ran.err and ran.out.endswith("  origin\n")
    assert mvc("whereis", "--cached", "v1", cwd=repo).err == ""
    mvc("remote", "remove", "origin", cwd=repo)
    assert "nowhere" in mvc("whereis", "v1", cwd=repo, code=1).out
    assert mvc("drop", "nothing", cwd=repo, code=4) and mvc("drop", cwd=repo, code=2)


def test_what_hangs_on_a_remote_alone_is_told_when_it_goes(mvc: Mvc, shared: Path) -> None:
    top = shared.parent
    mvc("clone", "hub", "copy", cwd=top)
    copy = top / "copy"
    mvc("branch", "old", "v1", cwd=copy)
    mvc("remote", "add", "second", "../hub", cwd=copy)
    mvc("fetch", "second", cwd=copy)
    assert "warning" not in mvc("remote", "remove", "second", cwd=copy).err  # origin holds all
    ran = mvc("remote", "remove", "origin", cwd=copy)
    count = re.match(r"warning: (\d+) chunks? \(300 kB\) of old are not here, and no other remote", ran.err)
    assert count and ran.err.endswith(f"mvc remote add origin {shared}, then mvc fetch -I '*' origin old\n")
    ran = mvc("fsck", cwd=copy, code=6)
    assert ran.out.count("is missing") == int(count[1]) and "mvc remote add NAME URL, then mvc fetch" in ran.err
    assert "mvc remote add NAME URL" in mvc("switch", "old", cwd=copy, code=None).err
    mvc("remote", "add", "origin", "../hub", cwd=copy)
    mvc("fetch", cwd=copy)
    assert "all sound" in mvc("fsck", cwd=copy).err
    mvc("switch", "old", cwd=copy)
    assert mvc("remote", "remove", "origin", cwd=copy).err == ""  # all is here now


def test_fetch_brings_what_is_asked_for_by_name(mvc: Mvc, shared: Path, repo: Path) -> None:
    top = shared.parent
    mvc("clone", "-n", "hub", "copy", cwd=top)
    copy = top / "copy"
    ran = mvc("fetch", "--include", "*.bin", cwd=copy)
    assert ran.err.startswith("moved 300 kB for 300 kB of model")
    assert mvc("whereis", cwd=copy).out.endswith("here, origin\n")
    assert "  origin\n" in mvc("whereis", "v1", cwd=copy).out
    document = json.loads(mvc("fetch", "--json", "-I", "model.bin", "origin", "v1", cwd=copy).out)
    assert document["remotes"][0]["bytes_of_chunks"] > SIZE and document["remotes"][0]["bytes_of_model"] == SIZE
    assert mvc("whereis", "v1", cwd=copy).out.endswith("here, origin\n")
    assert "matches nothing.at.all" in mvc("fetch", "-I", "nothing.at.all", cwd=copy, code=4).err


def test_remote_gc_and_fsck(mvc: Mvc, shared: Path, repo: Path) -> None:
    ran = mvc("remote", "fsck", "origin", cwd=repo)
    assert ran.out == "" and ran.err.endswith("all sound\n")
    mvc("push", "origin", "--delete", "v2", cwd=repo)
    mvc("push", "-f", "origin", "v1^{commit}:refs/heads/main", cwd=repo)
    ran = mvc("remote", "gc", "--dry-run", cwd=repo)
    assert "300 kB  of   300 kB  model.bin" in ran.out and "would drop" in ran.err
    document = json.loads(mvc("remote", "gc", "--prune=now", "--yes", "--json", cwd=repo).out)
    assert [one["path"] for one in document["files"]] == ["model.bin"]
    assert sum(one["bytes"] for one in document["deleted"]) > SIZE and not document["waiting"]["files"]
    (pack,) = (shared / "packs").rglob("*.pack")
    data = bytearray(pack.read_bytes())
    data[5000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    ran = mvc("remote", "fsck", cwd=repo, code=6)
    assert "touches" in ran.out and "model.bin" in ran.out
    ran = mvc("remote", "fsck", "--repair", cwd=repo)
    assert "put again" in ran.err and "all sound" in ran.err
    document = json.loads(mvc("remote", "fsck", "--json", cwd=repo).out)
    assert document["findings"] == [] and document["unlisted"] == 2


def test_bundle(mvc: Mvc, shared: Path, repo: Path) -> None:
    top = shared.parent
    ran = mvc("bundle", "create", "../whole.bundle", cwd=repo)
    assert ran.out == "" and "wrote 3 refs" in ran.err and "for 600 kB of model" in ran.err
    assert mvc("bundle", "list-heads", "whole.bundle", cwd=top).out == "".join(
        f"{mvc('rev-parse', name, cwd=repo).out.strip()} refs/{name}\n" for name in ("heads/main", "tags/v1", "tags/v2")
    )
    assert "is okay" in mvc("bundle", "verify", "whole.bundle", cwd=top).err
    mvc("clone", "whole.bundle", cwd=top)  # into whole, as Git does
    assert (top / "whole" / "model.bin").is_file()
    mvc("clone", "whole.bundle", "copy", cwd=top)
    assert (top / "copy" / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    (repo / "model.bin").write_bytes(weights(7))
    mvc("commit", "-am", "third", cwd=repo)
    mvc("bundle", "create", "--since", "v2", "--split", "100k", "../later", "main", cwd=repo)
    assert len(list(top.glob("later.0*"))) == 4
    document = json.loads(mvc("bundle", "verify", "--json", "../later", cwd=top / "copy").out)
    assert document["missing"] == [] and document["parts"] == 4
    ran = mvc("bundle", "unbundle", "../later", cwd=top / "copy")
    assert "refs/heads/main -> refs/bundles/heads/main" in ran.out
    mvc("merge", "bundles/heads/main", cwd=top / "copy")
    assert (top / "copy" / "model.bin").read_bytes() == (repo / "model.bin").read_bytes()
    mvc("init", "other", cwd=top)
    assert mvc("bundle", "verify", "../later", cwd=top / "other", code=1).out.count("not here") == 1
    assert "counts on commits" in mvc("bundle", "unbundle", "../later", cwd=top / "other", code=5).err
    assert "no size" in mvc("bundle", "create", "--split", "x", "b", cwd=repo, code=2).err


def test_purge(mvc: Mvc, shared: Path, repo: Path) -> None:
    old = mvc("rev-parse", "HEAD", cwd=repo).out.strip()
    assert "no commit" in mvc("purge", "--yes", "--", "nothing", cwd=repo, code=4).err
    ran = mvc("purge", "--dry-run", "model.bin", cwd=repo)
    assert ran.out.count("300 kB  model.bin") == 2 and f"{old[:10]} -> " in ran.out and "refs/heads/main" in ran.out
    document = json.loads(mvc("purge", "--dry-run", "--json", "model.bin", cwd=repo).out)
    assert [one["path"] for one in document["files"]] == ["model.bin"] * 2
    assert mvc("rev-parse", "HEAD", cwd=repo).out.strip() == old
    ran = mvc("purge", "--yes", "model.bin", cwd=repo)
    assert "left in the worktree, not versioned: model.bin" in ran.err and "origin: 60" in ran.err
    assert mvc("status", "--porcelain", cwd=repo).out == "?? model.bin\n"
    assert mvc("log", "--oneline", cwd=repo).out.count("version ") == 2
    assert mvc("status", "-sb", cwd=repo).out.startswith("## main...origin/main\n")
    assert "all sound" in mvc("remote", "fsck", cwd=repo).err and "all sound" in mvc("fsck", cwd=repo).err
    assert sum(path.stat().st_size for path in shared.rglob("*") if path.is_file()) < 50_000
    mvc("clone", "hub", "fresh", cwd=shared.parent)
    assert sorted(path.name for path in (shared.parent / "fresh").iterdir()) == [".mvc", "readme"]


def test_a_push_with_nothing_to_move_loads_little(mvc: Mvc, shared: Path, repo: Path) -> None:
    """What it loads is most of its time: neither the store, the codecs, numpy, nor what reaches object stores."""
    code = "import sys; from mvc.cli.main import main; main(); print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    command = [sys.executable, "-c", code.replace("main();", "code = main();"), "push", "-q"]
    ran = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    loaded = set(ran.stderr.split())
    assert "mvc.ops.push" in loaded
    for module in ("numpy", "zstandard", "mvc.store.chunkstore", "mvc.sync.push", "mvc.sync.chunks", "mvc.sync.fetch"):
        assert module not in loaded
    assert not loaded & {"mvc.backends.addresses", "concurrent.futures", "configparser", "urllib3", "opendal"}
