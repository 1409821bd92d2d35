"""Reading without a clone from a real object store: what it costs in requests and bytes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from mvc.backends.open import open_backend
from mvc.ops.address import Address
from mvc.ops.get import GetOptions, get
from mvc.ops.ranged_file import RangedFile, open_model_file
from mvc.ops.tensor_slices import TensorFile
from mvc.sync.view import RemoteView
from tests.backends import servers
from tests.models import fine_tuned, layers, safetensors_bytes
from tests.sync.making import Peer

pytestmark = pytest.mark.skipif(not servers.has_ceph(), reason="Ceph is not installed")

BASE = layers(0, 40, 512)
NAME = "encoder.layer.17.weight"


def test_one_tensor_and_a_whole_version_from_s3(radosgw: servers.Server, tmp_path: Path) -> None:
    """A tensor of 1 MiB out of a model of 42 MB that is a fine-tune: refs and idx known, 2 requests and 1.6 MiB."""
    url = radosgw.url.replace("some/prefix", "reading")

    def view() -> RemoteView:
        return RemoteView(open_backend(url, environment=radosgw.environment), tmp_path / "cache")

    (tmp_path / "a").mkdir()
    alice = Peer(tmp_path / "a", open_backend(url, environment=radosgw.environment))
    versions = [safetensors_bytes(BASE), safetensors_bytes(fine_tuned(BASE))]
    for data in versions:
        alice.commit({"m.safetensors": data})
        alice.push()
    for requests, most in ((11, 5 << 20), (4, 2 << 20)):  # cold, then with what is remembered
        with view() as opened:
            file = RangedFile(opened, open_model_file(opened, opened.resolve("main"), "m.safetensors"))
            refs_known = opened.meter.requests
            model = TensorFile(file, ExitStack())
            assert (model.get_tensor(NAME) == fine_tuned(BASE)[NAME]).all()
            assert opened.meter.requests <= requests and opened.meter.received < most
            if requests == 4:
                assert opened.meter.requests - refs_known <= 3
            assert np.array_equal(model.get_slice(NAME)[5:7], fine_tuned(BASE)[NAME][5:7])
    for number, data in enumerate(versions):
        with view() as opened:
            done = get(opened, Address(url, f"main~{1 - number}", None), tmp_path / "out", GetOptions(atomic=True))
        assert (tmp_path / "out/m.safetensors").read_bytes() == data and done.moved < len(data)
