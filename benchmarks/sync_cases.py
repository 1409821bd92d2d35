"""Sharing: what a push moves, and how fast, beside opendal alone and DVC."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from benchmarks.bench import Bench, check, commit, place, say
from benchmarks.measure import Step, Took, median, run, tree_bytes
from benchmarks.results import Figures
from benchmarks.tools import PROJECT, Dvc, Mvc, Tool


def sync(bench: Bench, real: Path, synthetic: Path, stores: Sequence[str]) -> None:
    """All of it. `stores`: URLs beside a folder and a server on loopback, with credentials in the environment."""
    if "mvc" in bench.tools:
        fine_tune(bench, real)
    transfer(bench, synthetic, stores)


def fine_tune(bench: Bench, real: Path) -> None:
    """What is moved when a fine-tune is pushed onto a remote that has its base, and how long finding nothing takes."""
    for _, tool in bench.begun("mvc", Mvc):
        assert isinstance(tool, Mvc)
        log, remote = tool.root / "log", tool.root / "remote"
        place({"model": real / "base-bf16"}, tool.data)
        commit(tool, "base")
        run([tool.mvc("remote", "add", "origin", str(remote)), tool.mvc("push", "-u", "origin", "main")], log)
        packs = tool.tree / ".mvc" / "chunks" / "packs"
        here, there = tree_bytes(packs), tree_bytes(remote)
        place({"model": real / "ft-full-bf16"}, tool.data)
        commit(tool, "finetune")
        run([tool.mvc("push")], log)
        figures: Figures = {"delta": tree_bytes(packs) - here, "moved": tree_bytes(remote) - there}
        nothing = [run([tool.mvc("push")], log) for _ in range(7)]
        figures["nothing"] = median(nothing).as_json()
        bench.results.put("push fine-tune", "mvc", figures)
        share, wall = figures["moved"] / figures["delta"], figures["nothing"]["wall"]
        say(f"  mvc: {figures['moved'] / 1e6:.2f} MB, {share:.3f} of the delta; nothing to push: {wall:.2f} s")


def transfer(bench: Bench, synthetic: Path, stores: Sequence[str]) -> None:
    """The stored bytes of a large model, up and down."""
    base = {"model": synthetic / "base"}
    for _, tool in bench.begun("mvc", Mvc):
        assert isinstance(tool, Mvc)
        if "mvc" not in bench.tools:
            continue
        place(base, tool.data)
        commit(tool, "base")
        packs = sorted((tool.tree / ".mvc" / "chunks" / "packs").rglob("*.pack"))
        stored = sum(path.stat().st_size for path in packs)
        for kind, url in (("folder", str(tool.root)), *((url.split(":")[0], url) for url in stores)):
            plain = _plain(bench, tool, kind, below(url, "plain"), packs, stored)
            bench.results.put(f"transfer/{kind}", "opendal", plain)
            bench.results.put(f"transfer/{kind}", "mvc", _ours(bench, tool, kind, url, base, stored))
        with _bare(tool) as url:
            bench.results.put("transfer/http", "opendal", _plain(bench, tool, "http", url, packs, stored))
        with _served(tool) as url:
            bench.results.put("transfer/http", "mvc", _ours(bench, tool, "http", url, base, stored))
    if "DVC" in bench.tools:
        for _, other in bench.begun("DVC", bench.tools["DVC"]):
            assert isinstance(other, Dvc)
            for kind, url in (("folder", str(other.root)), *(("s3", url) for url in stores if url.startswith("s3:"))):
                _dvc(bench, other, base, kind, url)


def below(url: str, name: str) -> str:
    """A place below a folder or URL, which may have options behind a "?"."""
    where, mark, options = url.partition("?")
    return f"{where.rstrip('/')}/{name}{mark}{options}"


def _plain(bench: Bench, tool: Tool, kind: str, url: str, packs: Sequence[Path], stored: int) -> Figures:
    """opendal alone: `down` into memory, `placed` into a folder, each file synced, as a pull's are."""
    here = tool.root / "here"

    def run_it(*way: str) -> Took:
        argv = (sys.executable, "-m", "benchmarks.plain_transfer", *way, *map(str, packs))
        return _timed(tool, Step(argv, PROJECT, tool.env))

    def place() -> Took:
        took = run_it("place", url, str(here))
        shutil.rmtree(here)
        return took

    ways = {"up": lambda: run_it("up", url), "down": lambda: run_it("down", url), "placed": place}
    return _each(bench, f"opendal, {kind}", stored, ways)


def _ours(bench: Bench, tool: Mvc, kind: str, url: str, base: dict[str, Path], stored: int) -> Figures:
    numbers = iter(range(100))
    pushed: list[str] = []

    def push() -> Took:
        pushed.append(below(url, f"remote-{next(numbers)}"))
        return _timed(tool, tool.mvc("push", "-q", pushed[-1], "main"))

    def pull() -> Took:
        clone = tool.root / "clone"
        shutil.rmtree(clone, ignore_errors=True)
        took = _timed(tool, tool.mvc("clone", "-q", "--no-checkout", "--all-data", pushed[-1], str(clone)))
        run([tool.mvc("-C", str(clone), "reset", "-q", "--hard")], tool.root / "log")
        check(base, clone / "data")
        return took

    return _each(bench, f"mvc, {kind}", stored, {"up": push, "down": pull})


def _dvc(bench: Bench, tool: Dvc, base: dict[str, Path], kind: str, url: str) -> None:
    size = place(base, tool.data)
    log = tool.root / "log"
    run(tool.commit("base"), log)
    numbers = iter(range(100))
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    # As mvc's URLs name them, and as DVC's config does.
    settings = {"endpoint": "endpointurl", "region": "region"}

    def push() -> Took:
        where = below(url, f"remote{next(numbers)}").partition("?")[0]
        run([tool.step(tool.dvc, "remote", "add", "-f", "-d", "origin", where)], log)
        for name, setting in settings.items():
            if name in options:
                run([tool.step(tool.dvc, "remote", "modify", "origin", setting, options[name])], log)
        return _timed(tool, tool.step(tool.dvc, "push", "-q"))

    def pull() -> Took:
        shutil.rmtree(tool.tree / ".dvc" / "cache")
        return _timed(tool, tool.step(tool.dvc, "fetch", "-q"))

    bench.results.put(f"transfer/{kind}", "DVC", _each(bench, f"DVC, {kind}", size, {"up": push, "down": pull}))


def _each(bench: Bench, label: str, size: int, ways: Mapping[str, Callable[[], Took]]) -> Figures:
    """Each way in turn, as often as is to be; the medians."""
    runs: dict[str, list[Took]] = {way: [] for way in ways}
    for _ in range(bench.repeat):
        for way, run_it in ways.items():
            runs[way].append(run_it())
    figures: Figures = {way: median(took).as_json() for way, took in runs.items()}
    figures["bytes"] = size
    rates = ", ".join(
        f"{way} {figures[way]['wall']:.2f} s, {size / figures[way]['wall'] / 1e6:.0f} MB/s" for way in ways
    )
    say(f"  {label}: {rates}")
    return figures


def _timed(tool: Tool, step: Step) -> Took:
    os.sync()
    return run([step], tool.root / "log")


@contextmanager
def _served(tool: Mvc) -> Iterator[str]:
    """An mvc server on loopback over an empty folder: its URL."""
    folder = tool.root / "served"
    folder.mkdir()
    step = tool.mvc("serve", "run", str(folder), "--port", "0", "--anonymous", "write", "--access-log", "")
    with _running(tool, step, "server") as url:
        yield url


@contextmanager
def _bare(tool: Mvc) -> Iterator[str]:
    """A server on loopback that only keeps bodies in an empty folder: its URL."""
    folder = tool.root / "bare"
    folder.mkdir()
    step = Step((sys.executable, "-m", "benchmarks.bare_server", str(folder)), PROJECT, tool.env)
    with _running(tool, step, "bare-server") as url:
        yield url
    shutil.rmtree(folder)


@contextmanager
def _running(tool: Mvc, step: Step, name: str) -> Iterator[str]:
    said = tool.root / name
    with said.open("w+") as out:
        process = subprocess.Popen(step.argv, cwd=step.cwd, env=os.environ | dict(step.env), stdout=out, stderr=out)
        try:
            yield _address(process, said)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for word in said.read_text().split():
            if word.startswith("http://"):
                return word.rstrip("/.,")
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {said.read_text()}")
