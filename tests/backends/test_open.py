"""From URL and environment to a store: what is understood, what is refused, and that no secret shows anywhere."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.backends.addresses import KINDS, parse
from mvc.backends.base import MAX_KEY, check_key, check_prefix, is_key
from mvc.backends.folder import FolderBackend
from mvc.backends.open import is_local, local_path, open_backend, schemes
from mvc.backends.retrying import RetryingBackend
from mvc.errors import RemoteUnavailable, Unsupported, UsageError
from mvc.lazy import load

KEYS = {"AWS_ACCESS_KEY_ID": "AKIASECRET", "AWS_SECRET_ACCESS_KEY": "verysecret"}


def test_paths_and_file_urls(tmp_path: Path) -> None:
    for url in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        assert is_local(url) and local_path(url) == tmp_path / "a b"
        backend = open_backend(url, environment={})
        assert isinstance(backend, RetryingBackend) and isinstance(backend.inner, FolderBackend)
        assert backend.inner.root == tmp_path / "a b" and backend.url == url
        backend.put("k", b"1")
        assert (tmp_path / "a b/k").read_bytes() == b"1"
    assert local_path("../models") == Path("../models") and is_local("C:/models") and is_local("c:\\models")
    for url in ("file://server/share", "file:///a?b", "file://"):
        with pytest.raises(UsageError):
            open_backend(url, environment={})


def test_s3_takes_the_url_first_then_the_environment_then_the_profile(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = one\n[profile other]\nregion = two\nendpoint_url = https://two.example\n")
    files = {"AWS_CONFIG_FILE": str(config)}
    assert parse("s3://bucket", {}).options == {"bucket": "bucket", "region": "us-east-1", "root": "/"}
    assert parse("s3://bucket", files).options["region"] == "one"
    other = parse("s3://bucket/a/b/", {**files, "AWS_PROFILE": "other"}).options
    assert other == {
        "bucket": "bucket", "root": "/a/b/", "profile": "other", "region": "two", "endpoint": "https://two.example",
    }  # fmt: skip
    assert parse("s3://bucket?profile=other", files).options["region"] == "two"
    assert parse("s3://bucket", {**files, "AWS_REGION": "three"}).options["region"] == "three"
    assert parse("s3://bucket?region=four", {**files, "AWS_REGION": "three"}).options["region"] == "four"
    options = parse("s3://bucket", {**KEYS, "AWS_SESSION_TOKEN": "t"}).options
    assert (options["access_key_id"], options["secret_access_key"], options["session_token"]) == (*KEYS.values(), "t")
    assert "access_key_id" not in parse("s3://bucket", {"AWS_ACCESS_KEY_ID": "half"}).options


def test_the_others() -> None:
    assert parse("gs://bucket/p", {}).service == "gcs"
    az = parse("az://container/p", {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "k"})
    assert az.options["endpoint"] == "https://acc.blob.core.windows.net" and az.options["account_key"] == "k"
    assert parse("az://container?account=acc", {}).options["account_name"] == "acc"
    oss = parse("oss://bucket?endpoint=https://oss.example", {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i"})
    assert oss.options["access_key_id"] == "i"
    assert parse("obs://bucket", {"OBS_ENDPOINT": "https://models.example"}).service == "obs"
    assert parse("cos://bucket?endpoint=https://cos.example", {}).service == "cos"
    assert parse("hdfs://node:8020/models", {}).options == {"name_node": "hdfs://node:8020", "root": "/models/"}
    for url in ("az://container", "oss://bucket", "obs://bucket", "cos://bucket"):
        with pytest.raises(UsageError):
            parse(url, {})


def test_clouds_take_the_url_first_then_the_environment() -> None:
    names = {
        "oss": ("OSS_ENDPOINT", "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
        "obs": ("OBS_ENDPOINT", "OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", ""),
        "cos": ("COS_ENDPOINT", "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SECURITY_TOKEN"),
    }
    for scheme, variables in names.items():
        environment = {name: f"https://{name.lower().replace('_', '-')}.example" for name in variables if name}
        found = parse(f"{scheme}://bucket/p", environment).options
        assert found.pop("bucket") == "bucket" and found.pop("root") == "/p/"
        assert set(found.values()) == set(environment.values())
        other = parse(f"{scheme}://bucket/p?endpoint=https://other.example", environment).options
        assert other["endpoint"] == "https://other.example"


def test_obs_is_reached_where_opendal_reaches_it() -> None:
    for host in ("obs.cn-north-4.myhuaweicloud.com", "models.example.org"):
        assert parse(f"obs://bucket?endpoint=https://{host}", {}).options["endpoint"] == f"https://{host}"
    with pytest.raises(UsageError, match="only obs") as caught:
        parse("obs://bucket?endpoint=https://obs.eu-west-101.myhuaweicloud.eu", {})
    assert "s3://" in str(caught.value.hint)


def test_webdav_has_its_password_in_netrc(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine dav.example login me password verysecret\n")
    netrc.chmod(0o600)
    found = parse("webdavs://dav.example:8443/a", {"NETRC": str(netrc)})
    assert found.options["endpoint"] == "https://dav.example:8443"
    assert (found.options["username"], found.options["password"]) == ("me", "verysecret")
    assert "verysecret" not in repr(found) + found.url
    assert "password" not in parse("webdav://other@dav.example/a", {"NETRC": str(netrc)}).options
    assert parse("webdav://me@dav.example/a", {"NETRC": str(netrc)}).url == "webdav://dav.example/a"


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:verysecret@bucket/p",
        "s3://verysecret@bucket",
        "webdav://me:verysecret@host/p",
        "s3://bucket?secret_access_key=verysecret",
        "s3://bucket?endpoint=https://me:verysecret@host",
        "s3://bucket?endpoint=https://host?token=verysecret",
        "s3://bucket?endpoint=verysecret",
        "s3://bucket#verysecret",
        "s3:///p",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bu cket/b",
        "s3://bucket:99999999",
        "hdfs://node:port/",
        "ftp://host/p",
        "s3://[::1",
    ],
)
def test_what_is_refused_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(url, environment=KEYS)
    text = f"{caught.value} {caught.value.hint} {caught.value.__cause__} {caught.value.__suppress_context__ or ''}"
    assert "verysecret" not in text.replace("s3://bucket#verysecret", "")


@given(st.text(max_size=60), st.sampled_from([*KINDS, "file", ""]))
def test_any_text_opens_or_is_refused(text: str, scheme: str) -> None:
    with contextlib.suppress(UsageError):
        parse(f"{scheme}://{text}", {})


@given(st.text(alphabet="ab/.-_A0 \n", max_size=30))
def test_keys_are_safe_paths(key: str) -> None:
    if is_key(key):
        assert check_key(key) == key and check_prefix(key) == key
        parts = key.split("/")
        assert all(part and part[0] not in "._-" and part.strip() == part for part in parts) and len(key) <= MAX_KEY
        assert check_prefix(key + "/")
    else:
        with pytest.raises(UsageError):
            check_key(key)


def test_without_opendal_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mvc.backends.opendal_store", raising=False)
    monkeypatch.setitem(sys.modules, "opendal", None)
    with pytest.raises(Unsupported, match="s3:// needs the package opendal") as caught:
        open_backend("s3://bucket", environment={})
    assert caught.value.hint == "pip install 'mvc-models[remotes]'"


def test_schemes() -> None:
    stores = ("s3", "gs", "az", "oss", "obs", "cos", "webdav", "webdavs", "hdfs")
    assert schemes() == ("file", "http", "https", "ssh", "sftp", *stores)
    with pytest.raises(UsageError, match="no way to reach ftp://") as caught:
        open_backend("ftp://host/x", environment={})
    assert caught.value.hint == f"there are {', '.join(schemes())}"


URLS = (
    "s3://bucket?endpoint=http://127.0.0.1:9",
    "gs://bucket?endpoint=http://127.0.0.1:9",
    "az://bucket?account=a",
    "oss://bucket?endpoint=http://127.0.0.1:9",
    "obs://bucket?endpoint=http://127.0.0.1:9",
    "cos://bucket?endpoint=http://127.0.0.1:9",
    "webdav://127.0.0.1:9/a",
    "hdfs://127.0.0.1:9/a",
)


@pytest.mark.skipif(find_spec("opendal") is None, reason="opendal is not installed")
@pytest.mark.parametrize("url", URLS)
def test_every_scheme_is_one_that_opendal_has(url: str) -> None:
    backend = open_backend(url, environment=KEYS)
    assert backend.url == url
    # Whether a condition is to be had is opendal's to say; docs/format/backends.md has the table.
    able = url.partition(":")[0] in ("s3", "gs", "az", "oss", "cos")
    assert backend.capabilities.put_if_absent is able and backend.capabilities.atomic_put is (able or url[:3] == "obs")
    if not able:
        with pytest.raises(Unsupported, match="two who push at once could lose a version"):
            backend.put_if_absent("a", b"")


@pytest.mark.skipif(find_spec("opendal") is None, reason="opendal is not installed")
def test_a_name_node_that_is_not_there_is_told_at_once() -> None:
    """opendal's client for HDFS would try by itself until each request is given up."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        made = load("mvc.backends.opendal_store:OpendalBackend")(
            parse(f"hdfs://127.0.0.1:{taken.getsockname()[1]}/a", {}), stall=600.0
        )
        asked: list[Callable[[], object]] = [
            lambda: made.get("a"),
            lambda: made.size("a"),
            lambda: made.put("a", b""),
            lambda: list(made.list("")),
            lambda: made.delete(["a"]),
        ]
        for ask in asked:
            with pytest.raises(RemoteUnavailable, match="refuses connections"):
                ask()
