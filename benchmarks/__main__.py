"""Measure mvc and its peers on the same models, and write RESULTS.md, results.json and docs/bench.svg.

python -m benchmarks                          everything but memory: an hour or so, 15 GB of disk
python -m benchmarks --tools mvc --cases real keep the peers' figures, measure mvc's anew
python -m benchmarks --report                 only write the report and the chart again
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import cases, make_real, make_synthetic, peers
from benchmarks.bench import Bench, say
from benchmarks.chart import write_chart
from benchmarks.report import write_report
from benchmarks.results import Results
from benchmarks.search_case import searching
from benchmarks.sync_cases import sync
from benchmarks.tools import PROJECT, tools
from benchmarks.training import training
from tests.backends import servers

HERE = Path(__file__).resolve().parent
CASES = ("startup", "real", "synthetic", "small", "log", "hundred", "sync", "training", "search", "memory")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", nargs="+", metavar="TOOL", help="only these (mvc, Xet, DVC, 'Git LFS', borg, ...)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[c for c in CASES if c != "memory"])
    parser.add_argument("--real", type=Path, help="a folder that make_real wrote; without it, it is made here")
    parser.add_argument(
        "--synthetic", type=Path, help="a folder that make_synthetic wrote; without it, it is made here"
    )
    parser.add_argument("--gib", type=float, default=2.0, help="size of the synthetic model")
    parser.add_argument("--large-gib", type=float, default=8.0, help="size in the case 'memory'")
    parser.add_argument("--hundred-gib", type=float, default=0.125, help="size in the case 'hundred'")
    parser.add_argument("--repeat", type=int, default=3, help="runs of the case 'synthetic'; the median counts")
    parser.add_argument("--work", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where the models are made and kept")
    parser.add_argument("--peers", type=Path, default=HERE / "peers", help="the virtual environment of DVC and Xet")
    parser.add_argument(
        "--stores", nargs="+", default=[], metavar="URL", help="object stores to measure in the case 'sync', too"
    )
    parser.add_argument(
        "--radosgw", action="store_true", help="start Debian's Ceph for the case 'sync' (as the tests do), as one store"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--note", default="", help="a sentence for the head of the report (was the machine busy?)")
    parser.add_argument("--report", action="store_true", help="only write the report and the chart")
    return parser.parse_args()


def real_folder(given: Path | None, data: Path) -> Path:
    folder = given or data / "real"
    if not (folder / "vocab-ext").is_dir():
        say(f"training the real series into {folder} (some minutes)")
        make_real.write(folder)
    return folder.resolve()


def synthetic_folder(given: Path | None, data: Path, gib: float) -> Path:
    folder = given or data / f"synthetic-{gib:g}"
    if not (folder / "finetune" / "model.safetensors.index.json").exists():
        say(f"making the synthetic model in {folder}")
        make_synthetic.write(folder, gib=gib)
    return folder.resolve()


def syncing(bench: Bench, chosen: argparse.Namespace) -> None:
    real = real_folder(chosen.real, chosen.data)
    synthetic = synthetic_folder(chosen.synthetic, chosen.data, chosen.gib)
    with contextlib.ExitStack() as stack:
        stores = list(chosen.stores)
        if chosen.radosgw:
            server = stack.enter_context(servers.radosgw(gib=24))
            os.environ.update(server.environment)
            stores.append(server.url)
        sync(bench, real, synthetic, stores)


def main() -> int:
    chosen = options()
    results = Results(chosen.results)
    if not chosen.report:
        measure(chosen, results)
    beside = chosen.results.resolve().parent
    write_report(results, beside / "RESULTS.md")
    # The README's chart tells of the results that stand in the repository, and of no others.
    write_chart(results, (PROJECT / "docs" if beside == HERE else beside) / "bench.svg")
    return 0


def measure(chosen: argparse.Namespace, results: Results) -> None:
    venv = chosen.peers.resolve()
    every = tools(venv)
    wanted = {name: make for name, make in every.items() if not chosen.tools or name in chosen.tools}
    if set(wanted) - {"mvc", "cp"}:
        for line in peers.install(venv):
            say(line)
    results.describe(peers.versions(venv), chosen.note)
    with tempfile.TemporaryDirectory(prefix="mvc-bench-", dir=chosen.work) as work:
        bench = Bench(Path(work).resolve(), wanted, results, chosen.repeat)
        steps: dict[str, Callable[[], None]] = {
            "startup": lambda: cases.startup(bench),
            "real": lambda: cases.real(bench, real_folder(chosen.real, chosen.data)),
            "synthetic": lambda: cases.synthetic(bench, synthetic_folder(chosen.synthetic, chosen.data, chosen.gib)),
            "small": lambda: cases.small_files(bench),
            "log": lambda: cases.long_log(bench),
            "hundred": lambda: cases.hundred(bench, chosen.hundred_gib),
            "sync": lambda: syncing(bench, chosen),
            "search": lambda: searching(bench),
            "training": lambda: training(bench, real_folder(chosen.real, chosen.data)),
            "memory": lambda: cases.memory(bench, chosen.large_gib),
        }
        alone = {"startup", "log", "training", "search", "memory"}
        for case in chosen.cases:
            if case in alone and "mvc" not in wanted:
                continue
            say(case)
            steps[case]()


if __name__ == "__main__":
    sys.exit(main())
