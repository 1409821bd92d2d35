"""Search over 100,000 commits with 50 values each: the catalogue made, brought up to date, and asked.

    python -m benchmarks.search_case [--commits N] [--work FOLDER] [--repository FOLDER]

Queries are timed in this process, CPU and wall, as it is their time that grows with the history; what a command costs
besides is in `whole command`. The history is written by `git fast-import`.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, say
from benchmarks.measure import Step, median, run
from mvc.catalogue.search import SearchOptions, search
from mvc.metadata.canonical import dumps
from mvc.metadata.values import nest
from mvc.objects.model import Signature
from mvc.objects.refs import RefChange
from mvc.progress import SILENT
from mvc.repo.create import init
from mvc.repo.repository import Repository

COMMITS = 100_000
BRANCHES = 20
LIMIT = 50
QUERIES: dict[str, tuple[str, SearchOptions]] = {
    "newest": ("", SearchOptions(limit=LIMIT)),
    "two metrics": ("metrics.acc > 0.92 and params.lr < 1e-4", SearchOptions(limit=LIMIT)),
    "rare": ("metrics.acc > 0.9995 and params.optimizer.name = 'adamw'", SearchOptions(limit=LIMIT)),
    "one of many": ("params.seed = 4711", SearchOptions(limit=LIMIT)),
    "of the issue": (
        "metrics.acc > 0.92 and params.lr < 1e-4 and tags.task = 'ner' or name ~ 'bert*'",
        SearchOptions(limit=LIMIT),
    ),
    "best": ("tags.task = 'ner'", SearchOptions(limit=LIMIT, sort=("metrics.acc:desc",))),
    "best of some": ("metrics.acc > 0.98", SearchOptions(limit=LIMIT, sort=("metrics.loss", "metrics.acc:desc"))),
    "branch": ("branch = 'exp/7' and metrics.acc > 0.9", SearchOptions(limit=LIMIT)),
    "words": ("训练 and warmup", SearchOptions(limit=LIMIT)),
    "pattern": ("params.optimizer.name like 'ada%' and metrics.loss < 0.05", SearchOptions(limit=LIMIT)),
}


def stream(count: int) -> Iterator[bytes]:
    """`count` commits of 50 values on 20 branches, each begun somewhere on the first, for `git fast-import`."""
    rng = random.Random(4)
    marks: dict[int, int] = {}
    for number in range(1, count + 1):
        branch = rng.randrange(BRANCHES) if number > count // 10 else 0
        parent = marks.get(branch) or (rng.randrange(1, number) if number > 1 else None)
        marks[branch] = number
        ref = f"refs/heads/{'main' if branch == 0 else f'exp/{branch}'}"
        text = f"step {number} {rng.choice(('warmup', 'decay', '训练', '模型训练 warmup', 'ablation'))}\n".encode()
        who = f"bench <bench@example.org> {1_600_000_000 + 60 * number} +0000".encode()
        yield b"commit %s\nmark :%d\ncommitter %s\ndata %d\n%s" % (ref.encode(), number, who, len(text), text)
        if parent is not None:
            yield b"from :%d\n" % parent
        yield _file("notes.txt", text)
        for name, values in _metadata(rng, number).items():
            yield _file(f".mvcmeta/{name}.yaml", dumps(nest(values)).encode())


def _metadata(rng: random.Random, number: int) -> dict[str, dict[str, Any]]:
    """25 params, 22 metrics, 3 tags."""
    params: dict[str, Any] = {
        "lr": rng.choice((1e-5, 2e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)),
        "seed": number,
        "batch": rng.choice((16, 32, 64)),
        "optimizer.name": rng.choice(("adamw", "adafactor", "sgd", "lion")),
        "amp": rng.random() < 0.5,
        **{f"layer.{index}.dropout": round(rng.random() / 2, 3) for index in range(20)},
    }
    metrics = {"acc": rng.random(), "loss": rng.expovariate(2), **{f"eval.f{i}": rng.random() for i in range(20)}}
    tags = {
        "task": rng.choice(("ner", "qa", "mt", "asr")),
        "team": rng.choice(("a", "b")),
        "run": f"run-{number % 997}",
    }
    return {"params": params, "metrics": metrics, "tags": tags}


def _file(path: str, data: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)


def make(folder: Path, count: int) -> Repository:
    """A repository with this history."""
    folder.mkdir(parents=True)
    init(folder, initial_branch="main")
    git = ["git", f"--git-dir={folder / '.mvc'}"]
    with subprocess.Popen([*git, "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE) as importing:
        assert importing.stdin is not None
        for part in stream(count):
            importing.stdin.write(part)
    return Repository.open(folder)


def timed(action: Callable[[], Any]) -> dict[str, float]:
    """Seconds of wall and CPU, of processes beside as well."""
    wall, cpu = time.perf_counter(), _cpu()
    action()
    return {"wall": round(time.perf_counter() - wall, 4), "cpu": round(_cpu() - cpu, 4)}


def _cpu() -> float:
    """Seconds of this process and of those that it waited for."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime


def searching(bench: Bench, count: int = COMMITS, repository: Path | None = None) -> None:
    """The case for `python -m benchmarks`."""
    folder = repository or bench.work / "search"
    repo = make(folder, count) if not folder.is_dir() else Repository.open(folder)
    home = bench.work / "search-home"
    rebuilt = timed(lambda: search(repo, "", SearchOptions(limit=1), home=home, progress=SILENT))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = sum(path.stat().st_size for path in home.rglob("*.sqlite"))
    _put(bench, "rebuild", {**rebuilt, "bytes": size, "rss": peak, "commits": count})
    for name, (query, options) in QUERIES.items():
        runs = [timed(lambda q=query, o=options: search(repo, q, o, home=home)) for _ in range(7)]
        found = len(search(repo, query, options, home=home).rows)
        middle = sorted(runs, key=lambda one: one["cpu"])[len(runs) // 2]
        _put(bench, f"query {name}", {**middle, "rows": found, "query": f"{query}{_sorted_by(options)}"})
    _put(bench, "one more commit", _after_one(repo, home))
    env = {"MVC_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
    step = Step((sys.executable, "-m", "mvc", "search", "metrics.acc > 0.92", "--json", "-n", "50"), folder, env)
    _put(bench, "whole command", median([run([step], bench.work / "log") for _ in range(5)]).as_json())


def _sorted_by(options: SearchOptions) -> str:
    return f" --sort {','.join(options.sort)}" if options.sort else ""


def _after_one(repo: Repository, home: Path) -> dict[str, float]:
    """A commit more, and then a search: the catalogue is brought up to date by what is new."""
    tip = repo.refs.read("refs/heads/main")
    assert tip is not None
    who = Signature("bench", "bench@example.org", 1_900_000_000)
    with repo.objects.batch() as batch:
        new = batch.commit(repo.objects.commit(tip).tree, [tip], who, who, "one more\n")
        batch.seal()
    repo.refs.update([RefChange("refs/heads/main", tip, new)], message="bench", author=who)
    return timed(lambda: search(repo, "", SearchOptions(limit=1), home=home))


def _put(bench: Bench, label: str, figures: dict[str, Any]) -> None:
    bench.results.put("search", label, figures)
    say(f"  {label}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))


class _Shown:
    def put(self, case: str, label: str, figures: dict[str, Any]) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--repository", type=Path, help="made there when it is not, and kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mvc-bench-", dir=chosen.work) as work:
        shown: Any = _Shown()
        searching(Bench(Path(work).resolve(), {}, shown, 1), chosen.commits, chosen.repository)


if __name__ == "__main__":
    main()
