"""RESULTS.md from the figures: what was measured, beside the peers, and whether each floor is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import fastest
from benchmarks.results import Results

TOOLS = ("mvc", "Xet", "DVC", "Git LFS", "borg", "restic", "casync", "cp")
FLOORS = {"fine-tunes": 119, "bf16": 37, "checkpoints": 379, "casts": 80}
"""Megabytes that mvc may store at most, by series."""

HEAD = """# Results

Written by `python -m benchmarks` (`make bench`); [README.md](README.md) says how each figure is taken.

"""


def write_report(results: Results, path: Path) -> None:
    parts = [HEAD, _machine(results)]
    if results.data.get("note"):
        parts.append(f"**{results.data['note']}**\n")
    for title, make in (
        ("Bytes: real models", _real),
        ("Seconds: a large model and its fine-tune", _synthetic),
        ("A hundred fine-tunes in a row", _hundred),
        ("100,000 files of 1 KiB", _small),
        ("10,000 commits", _log),
        ("Search over 100,000 commits", _search),
        ("Sharing", _sync),
        ("What a run costs the training", _training),
        ("Memory", _memory),
        ("Start-up", _startup),
    ):
        body = make(results)
        if body:
            parts.append(f"## {title}\n\n{body}\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, the others to the right."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def verdict(value: float, most: float) -> str:
    return "reached" if value <= most else "**missed**"


def _machine(results: Results) -> str:
    machine, versions = results.data.get("machine", {}), results.data.get("versions", {})
    if not machine:
        return ""
    told = ", ".join(f"{name} ({version})" for name, version in versions.items())
    return (
        f"{machine['processors']} processors ({machine['model']}), {machine['memory']} of memory, "
        f"{machine['system']}, Python {machine['python']}. Page cache warm. Peers: {told}.\n"
    )


def _real(results: Results) -> str:
    names = [case for case in results.data["cases"] if case.startswith("real/")]
    rows = []
    for case in sorted(names):
        series = case.removeprefix("real/")
        raw = next(results.get(case, tool)["raw"] for tool in results.tools(case))
        figures = [_cell(results, case, tool, lambda f: f"{f['stored'] / 1e6:.1f}") for tool in TOOLS[:-1]]
        floor = FLOORS.get(series.removesuffix(" side by side"))
        ours = results.get(case, "mvc")
        judged = f"{floor} ({verdict(ours['stored'] / 1e6, floor)})" if floor and ours else str(floor or "")
        rows.append([f"{series}, {raw / 1e6:.0f} MB", *figures, judged])
    if not rows:
        return ""
    text = (
        "Megabytes stored after all commits of a series, everything in the store counted (history, indexes, objects). "
        "Each is made as `make_real.py` makes it; its first version was brought back and compared byte for byte.\n\n"
    )
    text += table(["series", *TOOLS[:-1], "mvc at most"], rows)
    if results.data.get("note"):
        return text
    seconds = [
        [case.removeprefix("real/"), *(_cell(results, case, t, lambda f: _s(f["commits"])) for t in TOOLS[:-1])]
        for case in sorted(names)
    ]
    return text + "\nSeconds for all commits of the series:\n\n" + table(["series", *TOOLS[:-1]], seconds)


def _synthetic(results: Results) -> str:
    case = "synthetic"
    if not results.tools(case):
        return ""
    rows = [
        [f"{what}, {unit}", *(_cell(results, case, tool, value) for tool in TOOLS)]
        for what, unit, value in _synthetic_rows()
    ]
    raw = next(results.get(case, tool)["raw"] for tool in results.tools(case))
    text = f"{raw / 1e9:.2f} GB of BF16 in two shards, and a fine-tune that moves every weight.\n\n"
    text += table(["", *TOOLS], rows)
    ours = results.get(case, "mvc")
    if not ours:
        return text
    judged = []
    for figure, factor in (("base", 0.40), ("finetune", 0.50), ("to base", 0.60), ("to finetune", 0.90)):
        peer = fastest(results, case, figure, but=("mvc", "cp"))
        share = ours[figure]["wall"] / peer
        judged.append([figure, f"{share:.2f}", f"{factor:.2f}", verdict(share, factor)])
    ratio = ours["stored base"] / ours["raw"]
    judged.append(["stored base / raw", f"{ratio:.3f}", "0.675", verdict(ratio, 0.675)])
    peak = max(ours[figure]["rss"] for figure in ("base", "finetune", "to base", "to finetune")) / 1e6
    judged.append(["peak memory, MB", f"{peak:.0f}", "600", verdict(peak, 600)])
    if "fsck" in ours:
        rate = ours["fsck"]["raw per second"] / 1e9
        judged.append(["fsck, GB/s of raw bytes", f"{rate:.2f}", "at least 1", verdict(-rate, -1)])
    return text + "\nmvc's wall as a share of the fastest peer's:\n\n" + table(["", "mvc", "floor", ""], judged)


def _synthetic_rows() -> list[tuple[str, str, Callable[[Any], str]]]:
    def wall(figure: str) -> Callable[[Any], str]:
        return lambda f: _s(f[figure])

    def cpu(figure: str) -> Callable[[Any], str]:
        return lambda f: f"{f[figure]['cpu']:.1f}"

    return [
        ("commit base", "s", wall("base")),
        ("commit fine-tune", "s", wall("finetune")),
        ("go back to base", "s", wall("to base")),
        ("go to fine-tune", "s", wall("to finetune")),
        ("commit base, CPU", "s", cpu("base")),
        ("commit fine-tune, CPU", "s", cpu("finetune")),
        ("go back to base, CPU", "s", cpu("to base")),
        ("stored base", "MB", lambda f: f"{f['stored base'] / 1e6:.0f}"),
        ("stored both", "MB", lambda f: f"{f['stored'] / 1e6:.0f}"),
        ("peak memory", "MB", lambda f: f"{max(f[k]['rss'] for k in ('base', 'finetune', 'to base')) / 1e6:.0f}"),
    ]


def _hundred(results: Results) -> str:
    case = "hundred"
    rows = []
    for tool in [tool for tool in TOOLS if results.get(case, tool)]:
        figures = results.get(case, tool)
        walls = [figures[key]["wall"] for key in ("commit early", "commit late", "restore early", "restore late")]
        judged = ""
        if tool == "mvc":
            ok = walls[1] <= 1.2 * walls[0] and walls[3] <= 1.3 * walls[2]
            judged = verdict(0 if ok else 1, 0)
        ratios = f"{walls[1] / walls[0]:.2f}", f"{walls[3] / walls[2]:.2f}"
        stored = f"{figures['stored'][-1] / 1e6:.0f}"
        rows.append([tool, *(f"{wall:.2f}" for wall in walls), *ratios, stored, judged])
    if not rows:
        return ""
    head = ["", "commit 2 to 6, s", "96 to 100, s", "restore 1 to 3, s", "98 to 100, s"]
    return table([*head, "commit, ratio (at most 1.2)", "restore, ratio (at most 1.3)", "stored, MB", ""], rows)


def _small(results: Results) -> str:
    git, ours = results.get("small files", "git"), results.get("small files", "mvc")
    if not git:
        return ""
    rows = [
        [name, _s(git[key]), _s(ours[key]) if ours else "", f"{_share(ours, git, key)}", f"{most}"]
        for name, key, most in (("add and commit, s", "commit", 1.5), ("clean status, s", "status", 3.0))
    ]
    return table(["", "git", "mvc", "mvc / git", "at most"], rows)


def _log(results: Results) -> str:
    rows = [row for case in _HISTORIES for row in _log_rows(results, case)]
    return table(["", "git log", "mvc log", "mvc at most"], rows) if rows else ""


_HISTORIES = {
    "long log": "",
    "long log as committed": " of params and metrics too",
    "long log with metadata": " of params and metrics too, of a history that git wrote",
}


def _log_rows(results: Results, case: str) -> list[list[str]]:
    git, ours = results.get(case, "git"), results.get(case, "mvc")
    if not (git and ours):
        return []
    of = _HISTORIES[case]
    rows = [
        [f"first screen{of}, s", _s(git["first screen"]), _s(ours["first screen"]), "0.15 s"],
        [f"all{of}, s", _s(git["all"]), _s(ours["all"]), "10 times git's"],
    ]
    if of:
        most = "10 times git's" if case == "long log as committed" else ""
        rows.append([f"all{of}, the first time, s", _s(git["first time"]), _s(ours["first time"]), most])
    return rows


def _sync(results: Results) -> str:
    parts = []
    ours = results.get("push fine-tune", "mvc")
    if ours:
        share, wall = ours["moved"] / ours["delta"], ours["nothing"]["wall"]
        rows = [
            ["moved by a fine-tune, share of its stored delta", f"{share:.3f}", "1.03", verdict(share, 1.03)],
            ["a push with nothing to move, to a folder, s", f"{wall:.2f}", "0.30", verdict(wall, 0.3)],
        ]
        parts.append(table(["", "mvc", "at most", ""], rows))
    rows = []
    for case in sorted(case for case in results.data["cases"] if case.startswith("transfer/")):
        kind = case.removeprefix("transfer/")
        found, dvc, plain = (results.get(case, tool) for tool in ("mvc", "DVC", "opendal"))
        for way, name, alone in (
            ("up", "push", "up"),
            ("down", "pull", "placed"),
            ("down", "pull into memory", "down"),
        ):
            if not (found and plain and alone in plain):
                continue
            share = plain[alone]["wall"] / found[way]["wall"]
            row = [f"{name}, {kind}", _s(plain[alone]), _s(found[way]), f"{share:.2f} ({verdict(-share, -0.7)})"]
            with_dvc = dvc and alone != "down"
            rows.append([*row, _s(dvc[way]) if with_dvc else "", _share(found, dvc, way) if with_dvc else ""])
    if rows:
        head = ["the stored bytes of the large model", "opendal alone, s", "mvc, s", "share of its rate (at least 0.7)"]
        parts.append(table([*head, "DVC (all bytes), s", "mvc / DVC (at most 0.5)"], rows))
        parts.append(
            "*pull*: mvc's is held against opendal alone reading the objects and placing them in a folder, each file "
            "synced, for that is what a pull leaves; *pull into memory*: the same pull against opendal alone reading "
            "them and throwing them away. *http*: opendal's WebDAV to a server of the same make that keeps bodies as "
            "they come (benchmarks/bare_server.py); mvc's decodes every chunk before it takes it.\n"
        )
    return "\n".join(parts)


def _memory(results: Results) -> str:
    figures = results.get("memory", "mvc")
    if not figures:
        return ""
    peaks = [figures[key]["rss"] / 1e6 for key in ("commit", "restore")]
    return table(
        ["", "peak, MB", "wall, s", "at most, MB"],
        [
            [f"commit of {figures['gib']:g} GiB", f"{peaks[0]:.0f}", _s(figures["commit"]), "600"],
            [f"restore of {figures['gib']:g} GiB", f"{peaks[1]:.0f}", _s(figures["restore"]), "600"],
        ],
    )


def _search(results: Results) -> str:
    if not (made := results.get("search", "rebuild")):
        return ""
    text = (
        f"{made['commits']:,} commits of 50 values each. The catalogue is made in {made['wall']:.0f} s "
        f"({made['cpu']:.0f} s of CPU, {made['rss'] / 1e6:.0f} MB of memory, {made['bytes'] / 1e6:.0f} MB on disk); "
        f"at most 60: {verdict(made['wall'], 60)}. "
        f"A search after one more commit: {1000 * results.get('search', 'one more commit')['cpu']:.0f} ms of CPU.\n\n"
    )
    rows = []
    for label in results.tools("search"):
        if label.startswith("query "):
            took = results.get("search", label)
            times = [f"{1000 * took[key]:.1f}" for key in ("wall", "cpu")]
            rows.append([f"`{took['query'] or 'newest'}`", str(took["rows"]), *times, verdict(took["cpu"], 0.05)])
    return text + table(["query", "rows", "ms", "ms of CPU", "at most 50"], rows)


def _training(results: Results) -> str:
    figures = results.get("training", "mvc")
    if not figures:
        return ""
    log, plain = figures["log"], figures["plain log"]
    text = (
        f"`run.log` of three metrics: {log['median']:.1f} µs a call (99 of 100 within {log['p99']:.0f} µs); a line of "
    )
    text += f"JSON written and flushed by hand: {plain['median']:.1f} µs.\n\n"
    rows = [
        [
            name,
            *(f"{1000 * took[key]:.1f}" for key in ("held", "held cpu", "most")),
            f"{took['first']:.2f}",
            f"{took['stored']:.2f}",
        ]
        for name, took in figures.items()
        if isinstance(took, dict) and "first" in took
    ]
    head = ["`run.checkpoint` holds the loop", "ms", "ms of CPU", "at most", "stored after s", "a small step later"]
    text += table(head, rows)
    copy = 1000 * figures["plain copy of 100 MB"]["held"]
    share = figures["slowed"]["share"]
    return (
        f"{text}\nA plain copy of the 100 MB takes {copy:.0f} ms. While a checkpoint is stored, a loop in pure Python, "
        f"which needs a whole processor, runs at {share:.0%} of its speed.\n"
    )


def _startup(results: Results) -> str:
    python = results.get("startup", "python")
    if not python:
        return ""
    rows = [
        [f"mvc {tool}" if tool != "python" else "python -c pass", f"{1000 * wall:.0f}", f"{wall / python['wall']:.1f}"]
        for tool in ("python", "--version", "--help", "status", "log")
        if (wall := results.get("startup", tool).get("wall", 0))
    ]
    return table(["", "ms", "times python's own"], rows) + "\nFloor: `mvc --version` at most 6 times.\n"


def _cell(results: Results, case: str, tool: str, value: Callable[[Any], str]) -> str:
    figures = results.get(case, tool)
    return value(figures) if figures else ""


def _s(took: dict[str, float]) -> str:
    wall = took["wall"]
    return f"{wall:.2f}" if wall < 2 else f"{wall:.1f}"


def _share(ours: Any, theirs: Any, key: str) -> str:
    return f"{ours[key]['wall'] / theirs[key]['wall']:.2f}" if ours else ""
