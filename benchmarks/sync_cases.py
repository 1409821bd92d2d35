"""Sharing: what a push moves, and how fast, beside opendal alone and DVC."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
            plain = _plain(bench, tool, below(url, "plain"), packs, stored)
            bench.results.put(f"transfer/{kind}", "opendal", plain)
            bench.results.put(f"transfer/{kind}", "mvc", _ours(bench, tool, kind, url, base, stored))
        with _served(tool) as url:
            bench.results.put("transfer/http", "mvc", _ours(bench, tool, "http", url, base, stored))
    if "DVC" in bench.tools:
        for _, other in bench.begun("DVC", bench.tools["DVC"]):
            _dvc(bench, other, base)


def below(url: str, name: str) -> str:
    """A place below a folder or URL, which may have options behind a "?"."""
    where, mark, options = url.partition("?")
    return f"{where.rstrip('/')}/{name}{mark}{options}"


def _plain(bench: Bench, tool: Tool, url: str, packs: Sequence[Path], stored: int) -> Figures:
    def step(way: str) -> Step:
        argv = (sys.executable, "-m", "benchmarks.plain_transfer", way, url, *map(str, packs))
        return Step(argv, PROJECT, tool.env)

    return _both(bench, tool, "opendal", stored, lambda: _timed(tool, step("up")), lambda: _timed(tool, step("down")))


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

    return _both(bench, tool, f"mvc, {kind}", stored, push, pull)


def _dvc(bench: Bench, tool: Tool, base: dict[str, Path]) -> None:
    assert isinstance(tool, Dvc)
    size = place(base, tool.data)
    run(tool.commit("base"), tool.root / "log")
    numbers = iter(range(100))

    def push() -> Took:
        name = f"remote{next(numbers)}"
        run([tool.step(tool.dvc, "remote", "add", "-f", "-d", "origin", str(tool.root / name))], tool.root / "log")
        return _timed(tool, tool.step(tool.dvc, "push", "-q"))

    def pull() -> Took:
        shutil.rmtree(tool.tree / ".dvc" / "cache")
        return _timed(tool, tool.step(tool.dvc, "fetch", "-q"))

    bench.results.put("transfer/folder", "DVC", _both(bench, tool, "DVC, folder", size, push, pull))


def _both(bench: Bench, tool: Tool, label: str, size: int, up: Callable[[], Took], down: Callable[[], Took]) -> Figures:
    ways: dict[str, list[Took]] = {"up": [], "down": []}
    for _ in range(bench.repeat):
        ways["up"].append(up())
        ways["down"].append(down())
    figures: Figures = {way: median(runs).as_json() for way, runs in ways.items()}
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
    out = (tool.root / "server").open("w+")
    process = subprocess.Popen(step.argv, cwd=step.cwd, env=os.environ | dict(step.env), stdout=out, stderr=out)
    try:
        yield _address(process, tool.root / "server")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        out.close()


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for word in said.read_text().split():
            if word.startswith("http://"):
                return word.rstrip("/.,")
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {said.read_text()}")
