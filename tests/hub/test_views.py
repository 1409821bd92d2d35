"""Reading without a clone from `mvc serve` over HTTP: the same commands, with a token that may read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import mvc
from mvc.backends.open import open_backend
from mvc.errors import AuthError, MvcError, NotFound, Unsupported
from mvc.hub.messages import Right
from mvc.objects.model import Signature
from mvc.ops.address import Address
from mvc.ops.caller import Caller
from mvc.ops.clone import CloneOptions, clone
from mvc.ops.connect import Outside
from mvc.ops.get import get
from mvc.ops.init import init
from mvc.ops.remote_care import remote_fsck, remote_gc
from mvc.sync.view import RemoteView
from tests.hub.made import SMALL, WEIGHTS, Made, pushed
from tests.hub.serving import Running, serving


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    top = tmp_path_factory.mktemp("served")
    return pushed(top / "all" / "team" / "model", top / "peer", noise=4 << 20)


@pytest.fixture(scope="module")
def server(made: Made) -> Iterator[Running]:
    with serving(str(made.folder.parents[1])) as running:
        yield running


def test_a_version_and_a_tensor(server: Running, made: Made, tmp_path: Path) -> None:
    environment = {"MVC_TOKEN": server.token(Right.READ, "team/*"), "MVC_ENDPOINT": server.url}
    url = f"{server.url}/team/model"
    with RemoteView(open_backend(url, environment=environment), tmp_path / "cache") as view:
        done = get(view, Address(url, "main", None), tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").read_bytes() == SMALL and done.commit == made.commit
    name = "encoder.layer.1.weight"
    with mvc.safe_open(f"{url}@main:model.safetensors", environment=environment, cache=tmp_path / "cache") as model:
        assert (model.get_tensor(name) == WEIGHTS[name]).all() and len(model.keys()) == len(WEIGHTS)
    lines = server.lines(status=200) + server.lines(status=206)
    assert not [line for line in lines if "/idx/" in json.dumps(line)]  # it was asked where chunks lie


def test_without_a_token(server: Running, tmp_path: Path) -> None:
    with pytest.raises(AuthError):
        mvc.open(f"{server.url}/team/model@main:model.safetensors", environment={}, cache=tmp_path / "cache")
    environment = {"MVC_TOKEN": server.token(Right.READ, "other/*"), "MVC_ENDPOINT": server.url}
    with pytest.raises(MvcError):
        mvc.open(f"{server.url}/team/model@main:model.safetensors", environment=environment, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["team/modle", "other/model"])
def test_what_is_not_there_is_no_empty_repository(server: Running, tmp_path: Path, name: str) -> None:
    """Neither a mistyped name nor one that the token must not know of, which answers alike."""
    outside = Outside({"MVC_TOKEN": server.token(Right.READ, "team/*"), "MVC_ENDPOINT": server.url}, tmp_path)
    caller = Caller(Signature("a", "a@example.org", 1_700_000_000))
    with pytest.raises(NotFound):
        clone(f"{server.url}/{name}", tmp_path / "clone", CloneOptions(), outside=outside, caller=caller)
    assert not (tmp_path / "clone").exists()


def test_care_of_a_server_is_refused_with_the_way_out(server: Running, tmp_path: Path) -> None:
    environment = {"MVC_TOKEN": server.token(Right.ADMIN, "team/*"), "MVC_ENDPOINT": server.url}
    repo = init(tmp_path / "work").repo
    outside, caller = Outside(environment, tmp_path), Caller(Signature("a", "a@example.org", 1_700_000_000))
    for care in (remote_gc, remote_fsck):
        with pytest.raises(Unsupported) as told:
            care(repo, f"{server.url}/team/model", outside=outside, caller=caller)
        assert "behind a server" in told.value.message and "FOLDER" in str(told.value.hint)
