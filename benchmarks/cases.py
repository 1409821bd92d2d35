"""The cases: each measures every tool that makes sense in it, and leaves its figures in the results."""

from __future__ import annotations

import math
import random
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import histories, make_synthetic
from benchmarks.bench import Bench, check, commit, place, restore, say
from benchmarks.measure import Step, Took, median, run
from benchmarks.results import Figures
from benchmarks.tools import Git, Mvc, Tool

Version = dict[str, Path]


def real_series(folder: Path) -> dict[str, list[Version]]:
    """The series of real models, by name: what each version's folder holds."""

    def same_path(*names: str) -> list[Version]:
        return [{"model": folder / name} for name in names]

    def beside(*names: str) -> list[Version]:
        return [{name: folder / name for name in names[: count + 1]} for count in range(len(names))]

    fine_tunes, bf16 = ("base", "ft-full", "ft-frozen4", "vocab-ext"), ("base-bf16", "ft-full-bf16", "ft-frozen4-bf16")
    return {
        "fine-tunes": same_path(*fine_tunes),
        "fine-tunes side by side": beside(*fine_tunes),
        "bf16": same_path(*bf16),
        "bf16 side by side": beside(*bf16),
        "checkpoints": [{"checkpoint.pt": path} for path in sorted((folder / "ckpts").glob("*.pt"))],
        "casts": beside("base", "base-bf16", "base-fp16"),
    }


def real(bench: Bench, folder: Path) -> None:
    """Bytes stored after each series. `raw` counts a file once, in the version that brings it."""
    for name, versions in real_series(folder).items():
        say(f"real: {name}")
        for label, tool in bench.each_tool(without=("cp",)):
            raw, before, took = 0, 0, Took(0, 0, 0)
            for number, version in enumerate(versions):
                size = place(version, tool.data)
                raw, before = raw + size - (before if len(version) > 1 else 0), size
                took += commit(tool, f"v{number}")
            first = restore(tool, "v0")
            check(versions[0], tool.restored())
            stored = tool.stored()
            figures = {"stored": stored, "raw": raw, "commits": took.as_json(), "restore": first.as_json()}
            say(f"  {label}: {stored / 1e6:.1f} of {raw / 1e6:.1f} MB, {took.wall:.1f} s")
            bench.results.put(f"real/{name}", label, figures)


def synthetic(bench: Bench, folder: Path) -> None:
    """Commit a large base, then its fine-tune; go back and forth."""
    base, tune = {"model": folder / "base"}, {"model": folder / "finetune"}
    for label in bench.tools:
        took: dict[str, list[Took]] = {key: [] for key in ("base", "finetune", "to base", "to finetune")}
        figures: Figures = {}
        for _ in range(bench.repeat):
            for _, tool in bench.begun(label, bench.tools[label]):
                figures["raw"] = place(base, tool.data)
                took["base"].append(commit(tool, "base"))
                figures["stored base"] = tool.stored()
                place(tune, tool.data)
                took["finetune"].append(commit(tool, "finetune"))
                figures["stored"] = tool.stored()
                took["to base"].append(restore(tool, "base"))
                check(base, tool.restored())
                took["to finetune"].append(restore(tool, "finetune"))
                check(tune, tool.restored())
                if isinstance(tool, Mvc):
                    _fsck(tool, figures)
        if took["base"]:
            figures |= {key: median(runs).as_json() | {"walls": [t.wall for t in runs]} for key, runs in took.items()}
            bench.results.put("synthetic", label, figures)
            walls = ", ".join(f"{key} {figures[key]['wall']:.1f} s" for key in took)
            say(f"  {label}: {walls}; {figures['stored base'] / 1e6:.0f} + {_tune_bytes(figures) / 1e6:.0f} MB")


def _tune_bytes(figures: Figures) -> int:
    return int(figures["stored"] - figures["stored base"])


def _fsck(tool: Mvc, figures: Figures) -> None:
    took = run([tool.mvc("fsck")], tool.root / "log")
    figures["fsck"] = took.as_json() | {"raw per second": 2 * figures["raw"] / took.wall}


def memory(bench: Bench, gib: float) -> None:
    """Peak memory of a commit and a checkout of a model far larger than the other cases'."""
    folder = bench.work / "large"
    make_synthetic.write(folder, gib=gib, shards=4, tunes=0)
    for label, tool in bench.begun("mvc", Mvc):
        # Linked, not copied: the model is there once.
        shutil.copytree(folder / "base", tool.data / "model", copy_function=lambda a, b: Path(b).hardlink_to(a))
        took = commit(tool, "base")
        shutil.rmtree(tool.data / "model")
        # --force, as files that somebody deleted are changes of theirs, which a plain checkout keeps.
        back = run((tool.mvc("checkout", "--force", "base"),), tool.root / "log")
        check({"model": folder / "base"}, tool.restored())
        bench.results.put("memory", label, {"gib": gib, "commit": took.as_json(), "restore": back.as_json()})
        say(f"  {label}: {gib} GiB in {took.wall:.1f} s, {max(took.rss, back.rss) / 1e6:.0f} MB at its peak")
    shutil.rmtree(folder)


def hundred(bench: Bench, gib: float) -> None:
    """A hundred fine-tunes in a row: the last must cost no more than the second, nor take longer to come back."""
    folder = bench.work / "hundred"
    folders = make_synthetic.write(folder, gib=gib, shards=1, tunes=100)
    for label, tool in bench.each_tool(without=("restic", "casync", "borg", "cp")):
        walls: list[Took] = []
        stored: list[int] = []
        for number, source in enumerate(folders):
            place({"model": source}, tool.data)
            walls.append(commit(tool, f"v{number}"))
            stored.append(tool.stored())
        back = {
            number: median([_there_and_back(tool, number, 50) for _ in range(3)]) for number in (1, 2, 3, 98, 99, 100)
        }
        check({"model": folders[100]}, tool.restored())
        figures: Figures = {
            "raw": sum(path.stat().st_size for path in folders[0].rglob("*")),
            "stored": stored,
            "commit early": median(walls[2:7]).as_json(),
            "commit late": median(walls[-5:]).as_json(),
            "restore early": median([back[n] for n in (1, 2, 3)]).as_json(),
            "restore late": median([back[n] for n in (98, 99, 100)]).as_json(),
        }
        bench.results.put("hundred", label, figures)
        early, late = figures["commit early"]["wall"], figures["commit late"]["wall"]
        say(f"  {label}: commit {early:.2f} s, then {late:.2f} s; {stored[-1] / 1e6:.0f} MB")
    shutil.rmtree(folder)


def _there_and_back(tool: Tool, number: int, other: int) -> Took:
    """The time to bring `number` back from `other`."""
    restore(tool, f"v{other}")
    return restore(tool, f"v{number}")


def small_files(bench: Bench, count: int = 100_000) -> None:
    """100,000 files of 1 KiB: add and commit, then a clean status, beside plain git."""
    source = bench.work / "small"
    generator = random.Random(0)
    for number in range(count):
        path = source / f"{number // 1000:03d}" / f"{number % 1000:03d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(512).hex().encode())
    for label, make in (("git", Git), ("mvc", Mvc)):
        if label == "mvc" and "mvc" not in bench.tools:
            continue
        for _, tool in bench.begun(label, make):
            place({"small": source}, tool.data)
            took = commit(tool, "base")
            status = tool.mvc("status") if isinstance(tool, Mvc) else tool.step("git", "status")
            run([status], tool.root / "log")
            clean = median([run([status], tool.root / "log") for _ in range(5)])
            figures = {"commit": took.as_json(), "status": clean.as_json(), "stored": tool.stored()}
            bench.results.put("small files", label, figures)
            say(f"  {label}: {took.wall:.1f} s; status {clean.wall:.2f} s")
    shutil.rmtree(source)


def long_log(bench: Bench, count: int = 10_000) -> None:
    """10,000 commits; git's own log reads the same repository.

    Without metadata and with params and metrics in each commit, which `mvc log` prints as well: written into `.mvc` by
    `git fast-import`, so that mvc sees them the first time, and committed through the Python interface.
    """
    for case, metadata in (("long log", False), ("long log with metadata", True)):
        for _, tool in bench.begun("mvc", Mvc):
            assert isinstance(tool, Mvc)
            history = tool.root / "history"
            history.write_bytes(histories.stream(count, metadata=metadata))
            fill = f"git --git-dir={tool.tree / '.mvc'} fast-import --quiet --force < {history}"
            run([tool.step("sh", "-c", fill)], tool.root / "log")
            _long_log(bench, tool, case)
    for _, tool in bench.begun("mvc", Mvc):
        assert isinstance(tool, Mvc)
        argv = (sys.executable, "-m", "benchmarks.histories", str(tool.tree), str(count))
        run([Step(argv, tool.tree, tool.mvc("status").env)], tool.root / "log")
        _long_log(bench, tool, "long log as committed")


def _long_log(bench: Bench, tool: Mvc, case: str) -> None:
    git = f"git --git-dir={tool.tree / '.mvc'}"
    log = tool.root / "log"
    for label, command in (("git", git), ("mvc", f"{sys.executable} -m mvc")):
        env = tool.mvc("status").env
        screen = Step(("sh", "-c", f"{command} log | head -n 50"), tool.tree, env)
        whole = Step(("sh", "-c", f"{command} log > {tool.root / 'all'}"), tool.tree, env)
        run([screen], log)  # it leaves nothing behind: the next is the first whole one
        figures: Figures = {
            "first time": run([whole], log).as_json(),
            "first screen": median([run([screen], log) for _ in range(5)]).as_json(),
            "all": median([run([whole], log) for _ in range(3)]).as_json(),
        }
        walls = ", ".join(f"{key} {took['wall']:.2f} s" for key, took in figures.items())
        bench.results.put(case, label, figures)
        say(f"  {case}, {label}: {walls}")


def startup(bench: Bench) -> None:
    """What it costs to begin at all, in milliseconds of wall, the median of 20."""
    for _, tool in bench.begun("mvc", Mvc):
        assert isinstance(tool, Mvc)
        log = tool.root / "log"
        commands: dict[str, Sequence[str] | None] = {"--version": ("--version",), "--help": ("--help",)}
        commands |= {"status": ("status",), "log": ("log",), "python": None}
        (tool.data / "a").write_text("a")
        run(tool.commit("first"), log)
        for label, argv in commands.items():
            step = tool.step(sys.executable, "-c", "pass") if argv is None else tool.mvc(*argv)
            runs = [run([step], log).wall for _ in range(20)]
            bench.results.put("startup", label, {"wall": statistics.median(runs), "least": min(runs)})
            say(f"  {label}: {1000 * statistics.median(runs):.0f} ms")


def fastest(results: Any, case: str, figure: str, but: tuple[str, ...] = ("mvc", "cp")) -> float:
    """The least wall among the peers; infinite if none was measured."""
    walls = [
        results.get(case, tool)[figure]["wall"]
        for tool in results.tools(case)
        if tool not in but and figure in results.get(case, tool)
    ]
    return min(walls, default=math.inf)
