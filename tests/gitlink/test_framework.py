"""mvc's hooks run by the real framework pre-commit (an extra; it is asked for by name)."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import yaml

from mvc.gitlink.hookscripts import HOOKS
from tests.gitlink.project import ROOT, new_project

MANIFEST = ROOT / ".pre-commit-hooks.yaml"


def test_the_manifest_has_every_hook() -> None:
    rows = yaml.safe_load(MANIFEST.read_text())
    assert {row["stages"][0]: row["entry"] for row in rows if row["id"] != "mvc-check"} == {
        name: f"mvc hooks run {name}" for name in HOOKS
    }
    assert all(row["language"] == "python" and row["always_run"] and not row["pass_filenames"] for row in rows)


def test_the_real_framework(tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    framework = [sys.executable, "-P", "-m", "pre_commit"]
    outer = new_project(tmp_path)
    outer.run(*framework, "validate-manifest", str(MANIFEST))
    rows = yaml.safe_load(MANIFEST.read_text())
    mvc = f"{shlex.quote(sys.executable)} -P -m mvc"
    # As from its repository, but for the environment that pip would have to build.
    for row in rows:
        row.update(language="system", entry=row["entry"].replace("mvc", mvc, 1))
    config = {"default_install_hook_types": list(HOOKS), "repos": [{"repo": "local", "hooks": rows}]}
    (outer.top / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    outer.run(*framework, "install")
    outer.git("init", "-q", "--bare", str(tmp_path / "code.git"))
    outer.git("remote", "add", "origin", str(tmp_path / "code.git"))
    outer.mvc("remote", "add", "origin", str(tmp_path / "models"))
    outer.git("add", "-A")
    outer.models("a")
    outer.git("checkout", "-q", "-b", "tuned")
    outer.models("b")
    outer.git("checkout", "-q", "main")
    assert (outer.read(), outer.branch()) == ("a", "main")
    outer.git("merge", "-q", "tuned")
    assert (outer.read(), outer.branch()) == ("b", "main")
    (outer.top / "w.safetensors").write_bytes(bytes(2 << 20))
    outer.git("add", "-f", "w.safetensors")
    ran = outer.git("commit", "-q", "-m", "x", code=1)
    assert "safetensors weights" in ran.err + ran.out
    outer.git("rm", "-q", "--cached", "w.safetensors")
    outer.git("push", "-q", "origin", "main")
    assert outer.head() in outer.mvc("ls-remote", str(tmp_path / "models")).out
    assert "the hooks were already" in outer.mvc("hooks", "install").err, "it runs them: none is put beside"
