"""Real stores for the tests, started on this machine and stopped again; left out, by name, where not installed.

Nothing here is shared between tests but the servers: who uses one works under keys of their own.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BUCKET = "models"
ACCESS, SECRET = "TESTACCESSKEY", "testsecretsecretsecret"
CEPH = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")


@dataclass(frozen=True)
class Server:
    """A store that runs: the URL of an empty place in it, and the environment that opens it."""

    url: str
    environment: dict[str, str]


def program(name: str) -> str | None:
    """A program of this machine, or of the environment that Python runs in."""
    beside = Path(sys.executable).parent / name
    return os.fspath(beside) if beside.exists() else shutil.which(name)


def has_ceph() -> bool:
    return all(map(program, CEPH)) and sys.platform == "linux"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port at which nobody listens, and that the system gives to nobody meanwhile, neither to listen at nor to
    connect from: but a server that is told its number gets it, as all set SO_REUSEADDR."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up in {seconds:.0f} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Callable[[Sequence[str]], Callable[[], None]]]:
    """Gives a function that starts a process, and returns what raises RuntimeError if that has ended by itself; all of
    them are ended with the block."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: Sequence[str]) -> Callable[[], None]:
        name = Path(command[0]).name
        said = folder / f"{name}.out"
        with said.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        processes.append(process)

        def lives() -> None:
            if process.poll() is not None:
                raise RuntimeError(
                    f"{name} ended with {process.returncode}: {said.read_text(errors='replace').strip()}"
                )

        return lives

    try:
        yield start
    finally:
        for process in reversed(processes):
            process.kill()
        for process in processes:
            process.wait()


CONFIG = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
public addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
# One of each, and quick to agree.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
# A large disk has gigabytes left when it has 5 % left, below which it would not start.
mon data avail crit = 1
mon data avail warn = 1
paxos propose interval = 0.02
paxos min wait = 0.01
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = bluestore
bluestore block size = {size}
osd memory target = 939524096
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{rgw} tcp_nodelay=1
rgw enable usage log = false
rgw enable ops log = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
"""


@contextlib.contextmanager
def radosgw(gib: int = 4) -> Iterator[Server]:
    """Ceph's object gateway over one monitor and one OSD in a file: some ten seconds to start, 500 MB of memory.

    `gib`: what goes into it, all told (nothing is ever reclaimed); the disk has what was written, no more.
    """
    # Sockets have short names, so not below pytest's folder.
    with (
        tempfile.TemporaryDirectory(prefix="rgw-", ignore_cleanup_errors=True) as name,
        reserved_port() as mon,
        reserved_port() as rgw,
        running(Path(name)) as start,
    ):
        folder = Path(name)
        fsid = str(uuid.uuid4())
        config = folder / "ceph.conf"
        config.write_text(CONFIG.format(fsid=fsid, mon=mon, rgw=rgw, folder=folder, size=gib << 30))
        for part in ("mon", "osd", "rgw"):
            (folder / part).mkdir()

        def run(command: str, *more: str, data: str | None = None) -> str:
            words = [program(command.split(maxsplit=1)[0]) or "", *command.split()[1:], *more]
            done = subprocess.run(words, check=True, capture_output=True, text=True, input=data, timeout=300)
            return done.stdout

        keyring = folder / "keyring"
        for who, caps in KEYS.items():
            words = [word for kind, cap in caps.items() for word in ("--cap", kind, cap)]
            run(f"ceph-authtool --create-keyring {folder}/one --gen-key -n {who}", *words)
            with keyring.open("a") as out:
                out.write((folder / "one").read_text())
        run(f"monmaptool --create --fsid {fsid} --addv a [v2:127.0.0.1:{mon}] {folder}/monmap")
        run(f"ceph-mon -c {config} --mkfs -i a --monmap {folder}/monmap --keyring {keyring}")
        lives = start([program("ceph-mon") or "", "-c", os.fspath(config), "-i", "a", "--foreground"])
        # Else the next line would ask for minutes for what has ended at once.
        wait_for(lambda: lives() or listens(mon), "ceph-mon")
        run(f"ceph -c {config} --connect-timeout 300 auth import -i {keyring}")
        osd = str(uuid.uuid4())
        key = run(f"ceph-authtool {keyring} -n osd.0 -p").strip()
        run(f"ceph -c {config} osd new {osd} 0 -i -", data=json.dumps({"cephx_secret": key}))
        run(f"ceph-osd -c {config} -i 0 --mkfs --osd-uuid {osd}")
        osd_lives = start([program("ceph-osd") or "", "-c", os.fspath(config), "-i", "0", "--foreground"])
        wait_for(lambda: osd_lives() or "1 up" in run(f"ceph -c {config} osd stat"), "ceph-osd")
        rgw_lives = start([program("radosgw") or "", "-c", os.fspath(config), "-n", "client.rgw", "--foreground"])
        wait_for(lambda: rgw_lives() or listens(rgw), "radosgw")
        keys = (f"--access-key={ACCESS}", f"--secret-key={SECRET}")
        run(f"radosgw-admin -c {config} user create --uid=t --display-name=t", *keys)
        make_bucket(f"http://127.0.0.1:{rgw}")
        yield s3_server(rgw)


KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *"},
    "client.rgw": {"mon": "allow rw", "osd": "allow rwx"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
}


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """`rclone serve s3`: takes conditions and ignores them."""
    (folder / "served" / BUCKET).mkdir(parents=True)
    command = [program("rclone") or "", "serve", "s3", "--auth-key", f"{ACCESS},{SECRET}", "--config", os.devnull]
    with reserved_port() as port, running(folder) as start:
        lives = start([*command, "--addr", f"127.0.0.1:{port}", os.fspath(folder / "served")])
        wait_for(lambda: lives() or listens(port), "rclone")
        yield s3_server(port)


def s3_server(port: int) -> Server:
    return Server(
        f"s3://{BUCKET}/some/prefix?endpoint=http://127.0.0.1:{port}",
        {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"},
    )


@contextlib.contextmanager
def webdav(folder: Path) -> Iterator[Server]:
    """wsgidav, with a user and a password that stand in a netrc file.

    In a process of its own: opendal holds Python's lock while it waits for a listing.
    """
    (folder / "served").mkdir()
    config = {
        "host": "127.0.0.1",
        "provider_mapping": {"/dav": os.fspath(folder / "served")},
        "simple_dc": {"user_mapping": {"*": {ACCESS: {"password": SECRET}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "logging": {"enable": False},
        "dir_browser": {"enable": False},
    }
    netrc = folder / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {ACCESS} password {SECRET}\n")
    netrc.chmod(0o600)
    with reserved_port() as port, running(folder) as start:
        (folder / "config.json").write_text(json.dumps({**config, "port": port}))
        lives = start([program("wsgidav") or "", "--config", os.fspath(folder / "config.json"), "--quiet"])
        wait_for(lambda: lives() or listens(port), "wsgidav")
        yield Server(f"webdav://127.0.0.1:{port}/dav/models", {"NETRC": os.fspath(netrc)})


AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What azurite has built in, as its documentation says: no secret."""


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """Microsoft's emulator of Azure's blobs (npm install -g azurite)."""
    command = [program("azurite-blob") or "", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    with reserved_port() as port, running(folder) as start:
        lives = start([*command, "--blobPort", str(port), "--location", os.fspath(folder)])
        wait_for(lambda: lives() or listens(port), "azurite")
        make_container(port)
        yield Server(
            f"az://{BUCKET}/some/prefix?endpoint=http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
            {"AZURE_STORAGE_ACCOUNT": AZURE_ACCOUNT, "AZURE_STORAGE_KEY": AZURE_KEY},
        )


def make_container(port: int, container: str = BUCKET) -> None:
    """PUT a container, signed as Azure's "Shared Key" has it."""
    now = datetime.datetime.now(datetime.UTC)
    headers = {"x-ms-date": email.utils.format_datetime(now, usegmt=True), "x-ms-version": "2021-08-06"}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "PUT" + "\n" * 12 + f"{lines}/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{container}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), canonical.encode(), "sha256")).decode()
    headers |= {"Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}", "Content-Length": "0"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
        connection.request("PUT", f"/{AZURE_ACCOUNT}/{container}?restype=container", headers=headers)
        status = connection.getresponse().status
    if status != 201:
        raise OSError(f"no container: HTTP status {status}")


def make_bucket(endpoint: str, bucket: str = BUCKET, region: str = "us-east-1") -> None:
    """PUT a bucket, signed as AWS's "Signature Version 4" has it."""
    host = urlsplit(endpoint).netloc
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    names = ";".join(headers)
    canonical = "\n".join(["PUT", f"/{bucket}", "", *(f"{k}:{v}" for k, v in headers.items()), "", names, empty])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    with contextlib.closing(http.client.HTTPConnection(host, timeout=300)) as connection:
        connection.request("PUT", f"/{bucket}", headers=headers)
        status = connection.getresponse().status
    if status != 200:
        raise OSError(f"no bucket: HTTP status {status}")
