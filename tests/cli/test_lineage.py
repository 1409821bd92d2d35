"""`lineage`: bases that the tensors tell of, named ones, those of cards; up and down, from datasets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvc.ops.found_bases import find_bases
from mvc.ops.lineage_index import CACHE, read_links
from mvc.repo.repository import Repository
from tests.cli.world import Mvc
from tests.models import fine_tuned, layers, to_bf16, write_model


@pytest.fixture
def family(mvc: Mvc, repo: Path) -> Path:
    """A base, a fine-tune of it, an export of that, one with frozen layers and more rows, and an unrelated model."""
    base = layers(0)
    tuned = fine_tuned(base)
    frozen = {name: array if "layer.0" in name or "layer.1" in name else tuned[name] for name, array in base.items()}
    extended = {name: np.concatenate([array, array[:7]]) if array.ndim == 2 else array for name, array in tuned.items()}
    models = {
        "base": base,
        "tuned": tuned,
        "export": {name: to_bf16(array) for name, array in tuned.items()},
        "frozen": frozen,
        "extended": extended,
        "other": layers(99),
    }
    for name, tensors in models.items():
        write_model(repo / name / "model.safetensors", tensors)
        add(mvc, repo, name)
    return repo


def add(mvc: Mvc, repo: Path, name: str, *arguments: str) -> None:
    mvc("add", ".", cwd=repo)
    mvc("commit", "-m", name, "--no-environment", *arguments, cwd=repo)
    mvc("tag", name.replace(" ", "-"), cwd=repo)


def tree(mvc: Mvc, repo: Path, *arguments: str) -> Any:
    """Summaries, nested."""
    document = json.loads(mvc("lineage", "--json", *arguments, cwd=repo).out)
    below = "made_into" if document["down"] else "made_from"

    def short(node: dict[str, Any]) -> Any:
        name = node["summary"] or node["location"]
        # Commits of one second have no order.
        return {name: sorted((short(one) for one in node[below]), key=str)} if node[below] else name

    found = [short(node) for node in document["nodes"]]
    return found[0] if document["dataset"] is None else found


def test_bases_are_seen_in_the_tensors(mvc: Mvc, family: Path) -> None:
    assert tree(mvc, family, "base") == "base" and tree(mvc, family, "other") == "other"
    assert tree(mvc, family, "tuned") == {"tuned": ["base"]}
    assert tree(mvc, family, "export") == {"export": [{"tuned": ["base"]}]}
    assert tree(mvc, family, "extended") == {"extended": [{"tuned": ["base"]}]}
    assert tree(mvc, family, "HEAD:export/model.safetensors") == {"export": [{"tuned": ["base"]}]}
    assert tree(mvc, family, "HEAD:base/model.safetensors") == "base"
    (frozen,) = tree(mvc, family, "frozen")["frozen"]
    assert frozen == "base" or frozen == {"tuned": ["base"]}
    down = tree(mvc, family, "--down", "base")["base"]
    assert {"tuned": ["export", "extended"]} in down or {"tuned": ["export", "extended", "frozen"]} in down
    text = mvc("lineage", "export", cwd=family).out
    assert re.search(r"(?m)^└── [0-9a-f]{7} .*tuned.* tuned/model.safetensors \(seen in the tensors\)$", text)


def test_a_rounded_copy_of_the_base_while_a_fine_tune_stands(mvc: Mvc, repo: Path) -> None:
    """It is coded against the FP32 values that stand, those of the fine-tune, and was made from the base."""
    base = layers(0)
    for name, weights in (("base", base), ("tuned", fine_tuned(base))):
        write_model(repo / "model.safetensors", weights)
        add(mvc, repo, name)
    write_model(repo / "half" / "model.safetensors", {name: to_bf16(array) for name, array in base.items()})
    add(mvc, repo, "half")
    assert tree(mvc, repo, "half") == {"half": ["base"]}
    write_model(repo / "half" / "model.safetensors", {name: to_bf16(array) for name, array in fine_tuned(base).items()})
    add(mvc, repo, "other half")
    assert tree(mvc, repo, "other-half") in (
        {"other half": [{"tuned": ["base"]}]},
        {"other half": [{"half": ["base"]}]},
    )


def test_versions_at_one_path_and_a_copy(mvc: Mvc, family: Path) -> None:
    weights = layers(99)
    for number in range(3):
        weights = fine_tuned(weights, seed=number)
        write_model(family / "other" / "model.safetensors", weights)
        add(mvc, family, f"step {number}")
    assert tree(mvc, family) == {"step 2": [{"step 1": [{"step 0": ["other"]}]}]}
    assert tree(mvc, family, "--depth", "1") == {"step 2": ["step 1"]}
    assert "... more: --depth" in mvc("lineage", "--depth", "1", cwd=family).out
    (family / "copy").mkdir()
    shutil.copy(family / "base" / "model.safetensors", family / "copy" / "model.safetensors")
    add(mvc, family, "copied")
    assert tree(mvc, family) == {"copied": ["base"]}
    write_model(family / "other" / "model.safetensors", layers(1234))
    add(mvc, family, "from scratch")
    assert tree(mvc, family) == "from scratch"


def test_a_base_that_comes_in_the_same_commit(mvc: Mvc, repo: Path) -> None:
    write_model(repo / "base.safetensors", layers(0))
    write_model(repo / "tuned.safetensors", fine_tuned(layers(0)))
    add(mvc, repo, "both")
    document = json.loads(mvc("lineage", "--json", "HEAD:tuned.safetensors", cwd=repo).out)["nodes"][0]
    paths = [document["path"], *(one["path"] for one in document["made_from"])]
    assert paths in (["tuned.safetensors", "base.safetensors"], ["tuned.safetensors"])
    assert mvc("lineage", cwd=repo).out


def test_models_that_share_tensors_come_in_one_commit(mvc: Mvc, repo: Path) -> None:
    """A base without commit and location is one of this very commit: written so, and read so by all that read it."""
    for number in range(4):
        shared = {name: array for name, array in layers(0).items() if "layer.2" not in name}
        write_model(repo / f"{number}.safetensors", {**shared, "head": layers(number)["encoder.layer.2.weight"]})
    add(mvc, repo, "four")
    bases = json.loads(mvc("show", "--json", cwd=repo).out)["objects"][0]["bases"]
    assert bases and all(base["path"] and base["of"] and base["commit"] is None for base in bases)
    document = json.loads(mvc("lineage", "--json", f"HEAD:{bases[0]['of']}", cwd=repo).out)["nodes"][0]
    assert bases[0]["path"] in [one["path"] for one in document["made_from"]]
    assert mvc("gate", "delta(size) <= 1KB", cwd=repo, code=1).out and mvc("log", cwd=repo).out


def test_shards_and_their_rounded_copies_come_in_one_commit(mvc: Mvc, repo: Path) -> None:
    """Three files of one folder, made from three at the top: a folder of that very commit without a name."""
    (repo / "half").mkdir()
    for number in range(3):
        shard = {f"{number}.{name}": array for name, array in layers(number).items()}
        write_model(repo / f"{number}.safetensors", shard)
        half = {name: to_bf16(array) for name, array in shard.items()}
        write_model(repo / "half" / f"{number}.safetensors", half)
    add(mvc, repo, "both")
    bases = json.loads(mvc("show", "--json", cwd=repo).out)["objects"][0]["bases"]
    assert {(base["of"], base["path"]) for base in bases} == {
        (f"half/{number}.safetensors", f"{number}.safetensors") for number in range(3)
    }
    add(mvc, repo, "more", "--allow-empty")
    assert mvc("diff", "HEAD~1", "HEAD", cwd=repo).out is not None and mvc("lineage", cwd=repo).out


def test_what_is_named_and_what_cards_say(mvc: Mvc, family: Path) -> None:
    (family / "README.md").write_text("---\nbase_model: org/bert\ndatasets: [glue]\n---\n# x\n")
    (family / "data").mkdir()
    (family / "data" / "a").write_text("1")
    write_model(family / "adapter" / "model.safetensors", layers(7, count=1))
    add(mvc, family, "adapter", "--base", "base", "--base", "https://hub/team/m@" + "a" * 40, "--dataset", "d=data")
    document = json.loads(mvc("lineage", "--json", cwd=family).out)["nodes"][0]
    found = [(one["how"], one["location"] or one["summary"]) for one in document["made_from"]]
    assert found == [("named", "base"), ("named", "https://hub/team/m"), ("card", "hf://org/bert")]
    assert document["made_from"][1]["commit"] == "a" * 40
    assert [one["location"] for one in document["datasets"]] == ["data", "hf://datasets/glue"]
    digest = document["datasets"][0]["digest"]
    for wanted in ("d", "data", digest, digest[:20], digest.removeprefix("blake3:")[:12], "glue", "hf://datasets/glue"):
        assert tree(mvc, family, "--dataset", wanted) == ["adapter"], wanted
    assert tree(mvc, family, "--down", "org/bert") == {"hf://org/bert": ["adapter"]} or tree(
        mvc, family, "--down", "org/bert"
    ) == {"org/bert": ["adapter"]}
    assert "adapter" in str(tree(mvc, family, "--down", "base"))
    mvc("lineage", "--dataset", "gone", cwd=family, code=4)
    mvc("lineage", "gone", cwd=family, code=4)
    mvc("lineage", "--dataset", "d", "HEAD", cwd=family, code=2)
    mvc("lineage", "--dot", "--json", cwd=family, code=2)


def test_an_adapter_was_made_for_what_its_config_names(mvc: Mvc, family: Path) -> None:
    config = family / "lora" / "adapter_config.json"
    made: list[tuple[str, Any]] = [
        ('{"base_model_name_or_path": "org/bert", "revision": null}', ["hf://org/bert"]),
        ('{"base_model_name_or_path": "../base"}', ["base"]),
        ('{"base_model_name_or_path": "tuned"}', [{"tuned": ["base"]}]),
        ('{"base_model_name_or_path": "/home/x/bert"}', None),
        ('{"base_model_name_or_path": ".."}', None),
        ('{"base_model_name_or_path": 5}', None),
        ('{"base_model_name_or_path": ', None),
    ]
    for number, (text, bases) in enumerate(made):
        write_model(family / "lora" / "adapter_model.safetensors", layers(7 + number, count=1, width=16))
        config.write_text(text)
        add(mvc, family, f"lora {number}")
        path = "HEAD:lora/adapter_model.safetensors"
        found = tree(mvc, family, path)
        assert found == ({f"lora {number}": bases} if bases else f"lora {number}"), (text, found)
    assert "lora 0" in str(tree(mvc, family, "--down", "org/bert"))
    assert "lora 1" in str(tree(mvc, family, "--down", "base"))
    document = json.loads(mvc("lineage", "--json", "lora-0", cwd=family).out)["nodes"][0]
    assert document["path"] == "lora/adapter_model.safetensors" and document["made_from"][0]["how"] == "named"


def test_a_graph_for_graphviz(mvc: Mvc, family: Path) -> None:
    (family / "x").write_text("1")
    mvc("add", ".", cwd=family)
    mvc("commit", "-m", 'quotes " and \\ and\nmore', "--dataset", 'a"b=x', "--base", "hf://a", cwd=family)
    text = mvc("lineage", "--dot", "--down", "base", cwd=family).out + mvc("lineage", "--dot", cwd=family).out
    assert text.count("digraph lineage {") == 2 and "->" in text
    assert not re.search(r'[^\\]"[^];\[, >=]*"[^];,\[ ]', text.replace('\\"', ""))
    if shutil.which("dot"):
        graph = mvc("lineage", "--dot", cwd=family).raw
        assert b"<svg" in subprocess.run(["dot", "-Tsvg"], input=graph, capture_output=True, check=True).stdout


def test_the_index_can_be_lost(mvc: Mvc, family: Path) -> None:
    cache = family / ".mvc" / CACHE
    expected = tree(mvc, family, "--down", "base")
    whole = cache.read_bytes()
    for damaged in (b"", b"x" * 100, whole[:-5], whole.replace(b"true", b"null")):
        cache.write_bytes(damaged)
        assert tree(mvc, family, "--down", "base") == expected
    cache.write_bytes(whole)
    before = cache.stat().st_mtime_ns
    assert tree(mvc, family, "--down", "base") == expected and cache.stat().st_mtime_ns == before
    assert len(read_links(Repository.discover(family)).of_commit("0" * 40)) == 0


def test_a_clone_without_chunks_knows_it_too(mvc: Mvc, family: Path) -> None:
    mvc("remote", "add", "origin", "../hub", cwd=family)
    mvc("push", "--all", "origin", cwd=family)
    other = family.parent / "other"
    mvc("clone", "--no-checkout", str(family.parent / "hub"), str(other), cwd=family.parent)
    assert tree(mvc, other, "HEAD:export/model.safetensors") == {"export": [{"tuned": ["base"]}]}
    shallow = family.parent / "shallow"
    mvc("clone", "--depth", "1", "--no-checkout", str(family.parent / "hub"), str(shallow), cwd=family.parent)
    assert mvc("lineage", cwd=shallow).out and mvc("lineage", "--down", cwd=shallow).out


def test_bases_of_nothing(mvc: Mvc, family: Path) -> None:
    repository = Repository.discover(family)
    assert find_bases(repository, repository.objects, {}, []) == ()
    empty = family.parent / "empty"
    empty.mkdir()
    mvc("init", cwd=empty)
    assert mvc("lineage", cwd=empty, code=4).err


def test_many_datasets_are_cut_short_for_people_alone(mvc: Mvc, repo: Path) -> None:
    names = [f"set{number}" for number in range(9)]
    given = [word for name in names for word in ("--dataset", f"{name}=s3://bucket/{name}")]
    mvc("commit", "--allow-empty", "-qm", "x", *given, "--no-environment", cwd=repo)
    text = mvc("lineage", cwd=repo).out
    assert "set4 " in text and "set5 " not in text and "and 4 more (--json tells all)" in text
    assert all(f'"{name}"' in mvc("lineage", "--json", cwd=repo).out for name in names)
