"""Gates: what passes, what fails and says why, what cannot be read. And reports."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mvc.cli.junit import Case, junit
from mvc.cli.markdown import code, escaped
from mvc.cli.report_markdown import LIMIT, report_markdown
from mvc.ops.gate_grammar import Comparison, GateSyntax, Number, parse_gate
from mvc.ops.report import report
from tests.fuzz.gate import BASE, VALUES, hold
from tests.models import layers, safetensors_bytes, to_bf16
from tests.ops.world import World

NAMES = st.text(min_size=1, max_size=12)
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("a >= 0.92", True),
        ("a > 0.93", False),
        ("a = 93%", True),
        ("a ≥ .93 AND b == 12", True),
        ("delta(a) >= 0.01", True),  # 0.93 - 0.92 is less than that in binary
        ("delta(a) > 0.01", False),
        ("delta(b) <= -4%", True),
        ("delta(b) = -0.5", True),
        ("abs(delta(b)) <= 4%", True),
        ("abs(delta(b)) < 4%", False),
        ("b < base(b)", True),
        ("delta(size) <= 200MB and delta(size) > 100MB", True),
        ("size < 120MiB", True),
        ("size < 123456790B", True),
        ("n < 1 or n >= 1", False),
        ("n != 1", False),
        ("not n = 1", False),
        ("missing < 1", False),
        ("not missing < 1", False),
        ("missing < 1 or a > 0", True),
        ("i > 1e300", True),
        ("i < h", False),
        ("h > 1e300", True),
        ("delta(i) > 0", True),
        ("delta(m) = 0", False),
        ("delta(h) > 1e300", True),
        ("delta(zero) <= 0%", True),
        ("s = 'adam'", True),
        ("s != 'sgd'", True),
        ('s in ("sgd", "adam")', True),
        ("s not in ('sgd')", True),
        ("s > 1", False),
        ("delta(s) = 0", False),
        ("t = true", True),
        ("t = 1", False),
        ("z = null", True),
        ("z < 1", False),
        ("l = 1", False),
        ("min(a, b) < 1 and max(a, b, 2) = 12", True),
        ("tensors.dtype in ('F32', 'bf16')", True),
        ("tensors.dtype = 'F32'", False),
        ("tensors.dtype != 'F64'", True),
        ("tensors.dtype < 3", False),
        ("metrics.a > 0 and `a` > 0", True),
        ("(a > 1 or b > 1) and not a > 1", True),
        ("a > 1 or b > 1 and a > 1", False),
    ],
)
def test_what_passes(text: str, passed: bool) -> None:
    assert hold(text, VALUES, BASE) is passed


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("a", 1),
        ("a >", 3),
        ("a >> 1", 3),
        ("a > 1 b", 6),
        ("a > 1 and", 9),
        ("(a > 1", 6),
        ("a > 1)", 5),
        ("a ! 1", 2),
        ("a = 'x", 4),
        ("`a = 1", 0),
        ("a in 1", 5),
        ("a in (1", 7),
        ("a not 1", 6),
        ("a > 5XB", 5),
        ("a > 5%3", 6),
        ("f(a) > 1", 0),
        ("delta(1) > 1", 6),
        ("delta(a, b) > 1", 0),
        ("min(a) > 1", 0),
        ("a > max(5%, 1MB)", 12),
        ("a@ > 1", 1),
        ("a > 1e999", 4),
        ("a > " + "1" * 50, 4),
        ("not " * 100 + "a > 1", 240),
        ("a;b = 1 # x", 8),
    ],
)
def test_what_cannot_be_read_points_at_the_character(text: str, at: int) -> None:
    with pytest.raises(GateSyntax) as found:
        parse_gate(text)
    assert found.value.at == at and f"character {at + 1}:" in found.value.message


@given(NUMBERS, NUMBERS)
@settings(max_examples=60)
def test_comparisons_are_those_of_exact_numbers(left: float, right: float) -> None:
    one, other = Fraction(repr(left)), Fraction(repr(right))
    for op, holds in (("<", one < other), ("<=", one <= other), ("=", one == other), ("!=", one != other)):
        assert hold(f"x {op} {right!r}", {"x": left}) is holds
        assert hold(f"delta(x) {op} 0", {"x": left}, {"x": right}) is holds
        assert hold(f"delta(x) {op} 0%", {"x": left}, {"x": right}) is holds
    assert hold("delta(x) >= delta(x)", {"x": left}, {"x": right})


@given(st.fractions(max_denominator=10**6), st.sampled_from(["", "%", "KB", "MiB"]))
@settings(max_examples=40)
def test_numbers_are_read_as_they_are_written(number: Fraction, unit: str) -> None:
    digits = f"{float(number):.6f}"
    condition = parse_gate(f"x < {digits}{unit}").condition
    assert isinstance(condition, Comparison) and isinstance(condition.right[0], Number)
    factor = {"": Fraction(1), "%": Fraction(1, 100), "KB": Fraction(1000), "MiB": Fraction(1 << 20)}[unit]
    assert condition.right[0].value == Fraction(digits) * factor


@given(st.text(max_size=40))
@settings(max_examples=150)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_gate(text)
    except GateSyntax as error:
        assert 0 <= error.at <= len(text)


# ---- on commits


@pytest.fixture
def models(world: World) -> World:
    return _filled(world)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same, for tests that only read."""
    return _filled(World(tmp_path_factory.mktemp("shared") / "model"))


def _filled(world: World) -> World:
    """v1 and v2: one tensor differs, one came; v2 has a NaN, another dtype, more metrics."""
    first = layers(1)
    world.write("model.safetensors", safetensors_bytes(first))
    world.write("config.json", "{}")
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "1", "--no-environment", "--metric", "acc=0.9", "--metric", "ms=10", "--param", "lr=1e-4")
    world.mvc("tag", "v1")
    second = dict(first)
    changed = first["encoder.layer.0.weight"].copy()
    changed[0, :2] = np.nan
    changed[1, 1] = np.inf
    second["encoder.layer.0.weight"] = changed
    second["head.weight"] = to_bf16(np.ones((8, 256), np.float32))
    world.write("model.safetensors", safetensors_bytes(second))
    world.mvc("add", "-A")
    world.mvc(
        "commit", "-m", "2", "--no-environment", "--metric", "acc=0.95", "--metric", "ms=10.4",
        "--metric", "eval.f1=0.8", "--metric", "acc@model.safetensors=.5", "--param", "lr=1e-5",
    )  # fmt: skip
    world.mvc("tag", "v2")
    return world


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("acc >= 0.92 and delta(ms) <= 5%", True),
        ("acc@model.safetensors >= .5", True),
        ("params.lr < 1e-4 and delta(params.lr) < 0", True),
        ("size <= 1MB and files = 2", True),
        ("size@config.json = 2B", True),
        ("size@*.json = 2B", True),
        ("tensors.nan = 2", True),
        ("tensors.inf = 1", True),
        ("tensors.nan@model.safetensors = 0", False),
        ("tensors.dtype in ('F32', 'BF16')", True),
        ("tensors.dtype = 'F32'", False),
        ("tensors.parameters = 199424", True),
        ("tensors.count = 7 and tensors.bytes = 793600", True),
        ("tensors.changed = 1 and tensors.added = 1 and tensors.removed = 0", True),
        ("delta(tensors.nan) = 2", True),
    ],
)
def test_what_a_commit_knows(shared: World, text: str, passed: bool) -> None:
    ran = shared.mvc("gate", "v2", text, "--json", code=0 if passed else 1).json
    assert ran["passed"] is passed, ran


def _npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_nan_are_counted_in_a_small_file_too(tmp_path: Path) -> None:
    """One that is kept as a blob has no manifest where `add` would have noted them: an adapter, a rank's last shard."""
    world = World(tmp_path / "model")
    weights = {"lora.a": np.array([1, np.nan, np.inf], np.float32), "lora.b": to_bf16(np.array([np.nan], np.float32))}
    world.write("adapter.safetensors", safetensors_bytes(weights))
    world.write("scale.npy", _npy(np.array([-np.inf, 0, np.nan])))
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "1", "--no-environment")
    world.mvc("gate", "tensors.nan = 3", "tensors.inf = 2", "tensors.nan@adapter.safetensors = 2")
    world.mvc("gate", "tensors.nan = 0", code=1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ac > 1", "there is no metric 'ac'; did you mean acc"),
        ("f1 > 1", "there is no metric 'f1'; did you mean eval.f1?"),
        ("eval > 1", "'eval' is a group of metrics, not one metric; did you mean eval.f1?"),
        ("lr > 1", "there is no metric 'lr'; did you mean params.lr?"),
        ("tensor.nan > 1", "did you mean tensors.nan"),
        ("params.rl > 1", "there is no param 'rl'; did you mean params.lr?"),
        ("acc@other > 1", "there is no metric 'acc@other'; did you mean acc@model.safetensors or acc?"),
        ("size@model > 1", "there is no file 'model'; did you mean model.safetensors?"),
        ("tensors.nan@config.json = 0", "there are no tensors in 'config.json'"),
        ("delta(eval.f1) > 0", "there is no metric 'eval.f1'"),
        ("tensors.dtype = F32", "there is no metric 'F32'; a word stands in quotes: 'word'"),
        ("tensors.dtype in (F32, BF16)", "a word stands in quotes"),
    ],
)
def test_what_is_not_there_fails_and_says_so(shared: World, text: str, why: str) -> None:
    assert why in shared.mvc("gate", "v2", text, code=1).out


def test_what_a_gate_is_held_against(models: World) -> None:
    world = models
    v1, v2 = (world.git("rev-parse", name) for name in ("v1", "v2"))

    def base(*arguments: str) -> Any:
        found = world.mvc("gate", *arguments, "files > 0", "--json").json["base"]
        return found and (found["commit"], found["name"])

    assert base() == (v1, "the first parent") and base("v1") is None
    assert "there is no base to compare with" in world.mvc("gate", "v1", "delta(acc) = 0", code=1).out
    world.mvc("alias", "set", "production", "v2")
    assert base("v1") == (v2, "production") and base("v2") == (v1, "the first parent")
    world.mvc("alias", "set", "staging", "v1")
    assert base("v2", "--for", "staging") == (v1, "staging")
    assert base("v1", "--base", "v2") == (v2, "v2")
    world.mvc("config", "gate.base", "v1")
    assert base("v2") == (v1, "v1")
    world.mvc("gate", "--base", "nowhere", "files > 0", code=4)
    world.mvc("gate", "nowhere", "files > 0", code=4)


def test_gates_of_the_project_and_ways_out(models: World, tmp_path: Path) -> None:
    world = models
    world.mvc("gate", code=2)
    world.write("mvc.yaml", "gates:\n  - acc >= 0.92\n  - tensors.nan = 0\n")
    ran = world.mvc("gate", "--junit", "gate.xml", "--md", "gate.md", code=1)
    assert "pass  acc >= 0.92" in ran.out and "FAIL  tensors.nan = 0  2" in ran.out
    suite = ET.fromstring(world.read("gate.xml"))[0]
    assert suite.attrib | {"tests": "2", "failures": "1"} == suite.attrib
    assert "❌" in world.read("gate.md")
    world.write("mvc.yaml", "gates: [acc >=]\n")
    assert "mvc.yaml, from line 1: gate, character 7" in world.mvc("gate", code=2).err
    world.write("mvc.yaml", "aliases:\n  production:\n    gates: [acc >= 0.9, tensors.nan = 0]\n")
    assert "1 passed, 1 failed" in world.mvc("gate", "--for", "production", code=1).out
    assert "mvc.yaml has none" in world.mvc("gate", "--for", "staging", code=2).err
    world.write("mvc.yaml", "gates: [acc >= 0.9, files = 2]\naliases: {production: {gates: acc >= 0.9}}\n")
    assert "2 gates: 2 passed" in world.mvc("gate", "--for", "production").out
    world.write("mvc.yaml", "gates: {a: 1}\n")
    world.mvc("gate", code=2)
    for text in ("", "delta(acc", "acc is missing", "(acc)"):
        assert "gate, character" in world.mvc("gate", text, code=2).err
    assert "no commit's message" in world.mvc("gate", "HEAD^{/(no) such}", "acc > 1", code=4).err
    ran = world.mvc("gate", "acc >> 1", code=2)
    assert "acc >> 1\n" in ran.err and f"{' ' * 14}^" in ran.err
    world.mvc("gate", "HEAD", "acc > 0", "--record", "--for", "production")
    assert "gate-passed" in world.mvc("alias", "reviews", "production").out


def test_a_clone_without_chunks_will_do(models: World, tmp_path: Path) -> None:
    world = models
    world.mvc("remote", "add", "origin", str(tmp_path / "remote"))
    world.mvc("push", "-q", "origin", "main", "--tags")
    world.mvc("clone", "-q", "--no-checkout", str(tmp_path / "remote"), str(tmp_path / "ci"))
    (tmp_path / "remote").rename(tmp_path / "away")
    ci = World(tmp_path / "ci", new=False)
    gates = ("acc > 0.9", "tensors.nan = 2", "size < 1MB", "tensors.changed = 1", "tensors.dtype != 'F64'")
    assert "5 passed" in ci.mvc("gate", "v2", *gates).out
    found = ci.mvc("report", "v1..v2", "--json").json
    assert found["bytes"] == world.mvc("report", "v1..v2", "--json").json["bytes"]
    assert found["bytes"]["new_stored"] and found["bytes"]["deduplicated"] > found["bytes"]["new"]
    assert not list((tmp_path / "ci/.mvc/chunks/packs").rglob("*.pack"))


def test_a_report(models: World) -> None:
    world = models
    world.mvc("annotate", "v2", "--metric", "human=0.7")
    text = world.mvc("report", "v1..v2", "--md", "--gate", "acc > 0.92", "--gate", "tensors.nan = 0").out
    for part in (
        "## ❌ Failed: `v1` → `v2`",
        "| ❌ fail | `tensors.nan = 0` | 2 |",
        "| `acc` | 0.9 | **0.95** | 🟢 +0.05 (+5.56 %) |",
        "| `ms` | 10 | **10.4** | 🔴 +0.4 (+4 %) |",
        "| `human` |  | **0.7** |  |",
        "| params | `lr` | 0.0001 | 1e-05 |",
        "tensors: 1 added, 1 changed, 5 the same",
        "| changed | `encoder.layer.0.weight` | F32 256×256  +2 NaN  +1 infinite |",
        "deduplicated",
    ):
        assert part in text, text
    world.mvc("report", "v1..v2", "--gate", "tensors.nan = 0", "--exit-code", code=1)
    assert "v1 -> v2: 1 commit" in world.mvc("report", "v1..v2").out
    assert world.mvc("report", "v1").out.startswith("nothing -> v1")
    world.mvc("report", "v1...v2", "-o", "r.md")
    assert "`v1...` → `v2`" in world.read("r.md")
    world.mvc("report", "nowhere..v2", code=4)
    world.mvc("report", "^v1", code=2)


def test_a_report_tells_of_tables_and_which_way_a_metric_is_better(world: World) -> None:
    world.write("mvc.yaml", "metrics: m.json\ntables: {confusion: cm.csv, wide: wide.csv}\nbetter: {drift: min}\n")
    for number, tag in ((2, "v1"), (3, "v2")):
        world.write("m.json", f'{{"drift": {number}}}')
        world.write("cm.csv", f"is,cat,<b>|\ncat,10,{number}\n鸟,,nan\n")
        world.write("wide.csv", ",".join(f"c{at}" for at in range(30)) + "\n" + ",".join(["1"] * 29 + [str(number)]))
        world.commit(tag)
        world.mvc("tag", tag)
    text = world.mvc("report", "v1..v2", "--md").out
    for part in (
        "| `drift` | 2 | **3** | 🔴 +1 (+50 %) |",
        "`confusion`: 1 of 6 cells differ",
        "| is | cat | &lt;b&gt;\\| |",
        "| cat | 10 | **2 -&gt; 3** |",
        "| 鸟 |  | nan |",
        "`wide`: 1 of 30 cells differ",
    ):
        assert part in text, text
    assert "2 -> 3" in world.mvc("report", "v1..v2").out
    assert "table confusion: 2 rows: is, cat" in world.mvc("report", "v1").out
    groups = [one["group"] for one in world.mvc("report", "v1..v2", "--json").json["changes"]]
    assert groups == ["tables", "tables"]
    assert "1 of 6 cells differ" in world.mvc("diff", "v1", "v2").out
    shown = world.mvc("show", "v2").out
    assert re.search(r"(?m)^      cat   10 +3$", shown) and re.search(r"(?m)^      鸟 +nan$", shown) and "c29" in shown


@given(st.lists(NAMES, min_size=1, max_size=4), st.text(max_size=60))
@settings(max_examples=60)
def test_junit_is_well_formed_whatever_stands_in_it(names: list[str], why: str) -> None:
    text = junit(names[0], [Case(name, why if number % 2 else None, why) for number, name in enumerate(names)])
    root = ET.fromstring(text.encode("utf-8", "surrogatepass") if text.isascii() else text)
    assert [suite.tag for suite in root] == ["testsuite"]
    cases = root.findall("./testsuite/testcase")
    assert len(cases) == len(names) and root.get("failures") == str(len(names) // 2)
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)


MARKDOWN = MarkdownIt("gfm-like", {"linkify": False}).enable("table")


HOSTILE = (
    "<img src=x>",
    "[x](http://y)",
    "**b**",
    "`a`",
    "``",
    "a|b",
    "\\",
    "\\|",
    "# h",
    "&lt;",
    "<!-- ",
    "@all",
    "~~s~~",
    "`|`",
)


@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(HOSTILE))
@settings(max_examples=150)
def test_markdown_of_hostile_names_is_text(name: str) -> None:
    table = f"| a | b |\n|---|---|\n| {code(name)} | {escaped(name)} |\n"
    tokens = MARKDOWN.parse(table)
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4 and [token.type for token in tokens].count("tr_open") == 2
    assert {child.type for child in cells[2].children or ()} <= {"code_inline"}
    assert {child.type for child in cells[3].children or ()} <= {"text", "text_special"}


def test_a_report_of_hostile_names_is_short_enough(world: World) -> None:
    rows = {f"{'x' * 300}|<b>@all{number}": np.zeros(2, np.float32) for number in range(400)}
    world.write("m.safetensors", safetensors_bytes(rows))
    world.mvc("add", "-A")
    metrics = [word for number in range(400) for word in ("--metric", f"`m`<i>{'y' * 200}{number}=1")]
    world.mvc("commit", "-m", "1\n\n<script>", "--no-environment", *metrics)
    world.write("m.safetensors", safetensors_bytes({name: array + 1 for name, array in rows.items()}))
    world.mvc("add", "-A")
    world.mvc("commit", "-m", "[2](http://x)", "--no-environment")
    found = report(world.repo, "HEAD~1..HEAD")
    text = report_markdown(found)
    assert 1000 < len(text) <= LIMIT and "more |" in text and text.endswith("</details>\n")
    assert len(report_markdown(found, 2000)) <= 2000
