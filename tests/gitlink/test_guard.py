"""What the hook pre-commit refuses, and what it lets pass."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.gitlink.guard import Finding, Rules, look
from mvc.gitlink.outer import find_project
from mvc.gitlink.rules import parse_size, read_rules
from mvc.gitlink.staged import Blobs, StagedFile, committed_files, staged_files
from tests.gitlink.project import Outer


class Evil:
    def __reduce__(self) -> object:
        return os.system, ("exit 1",)


EVIL = pickle.dumps([Evil()])
USUAL = Rules()
FINE = pickle.dumps({"a": np.arange(3)})


class Memory:
    """Blobs that are at hand; `large` ones must not be read whole."""

    def __init__(self, data: bytes, large: bool = False) -> None:
        self.data, self.large = data, large

    def head(self, _: str, length: int, size: int) -> bytes:
        return self.data[:length]

    def read(self, _: str) -> bytes:
        assert not self.large
        return self.data


def seen(name: str, data: bytes, *, size: int | None = None, rules: Rules = USUAL) -> Finding | None:
    file = StagedFile(name, "blob", len(data) if size is None else size)
    found = look([file], Memory(data, size is not None), rules)  # type: ignore[arg-type]
    return found[0] if found else None


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def objects(inside: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([inside], object), allow_pickle=True)
    return out.getvalue()


PACKED = {
    "a.pkl": EVIL,
    "a.dat": EVIL,
    "A.PT": EVIL,
    "a.bin": b"cos\nsystem\n(S'x'\ntR.",
    "b.bin": b"S'\xe9'\n0cos\nsystem\n(S'x'\ntR.",
    "a.pkl.gz": gzip.compress(EVIL),
    "a.joblib": gzip.compress(EVIL),
    "b.joblib": bz2.compress(EVIL),
    "c.joblib": lzma.compress(EVIL),
    "d.joblib": lzma.compress(EVIL, lzma.FORMAT_ALONE),
    "a.zip": zipped({"model/data.pkl": EVIL}),
    "b.zip": zipped({"x/y.zip": zipped({"weights": EVIL})}),
    "a.pth": zipped({"m/version": b"3", "m/data/0": b"", "m/other.pkl": EVIL}),
    "c.pth": tarred({"storages": FINE, "pickle": EVIL}),
    "a.nemo": tarred({"./model_weights.ckpt": zipped({"archive/data.pkl": EVIL})}),
    "a.npy": objects(Evil()),
    "a.npz": zipped({"x.npy": objects(Evil())}),
    "two.pkl": FINE + EVIL,
    # under a name that says nothing
    "a.txt": b"cos\nsystem\n(S'x'\ntR.",
    "b.txt": b"(dp0\nVa\np1\ncos\nsystem\np2\n(Vx\ntR and then rubbish",
    "c.txt": b"(lp0\n" + b"I1\na" * 300 + b"cos\nsystem\n(S'x'\ntRa.",
    "notes": b"(S'x'\nios\nsystem\n.",
    "a.gz": gzip.compress(EVIL),
    "a.tgz": gzip.compress(tarred({"x.dat": EVIL})),
    "data": bz2.compress(tarred({"x.npy": objects(Evil())})),
    "d.zip": zipped({"x.gz": gzip.compress(EVIL), "y.txt": b"text"}),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_pickle_that_runs_code_is_found_wherever_it_is(name: str) -> None:
    found = seen(name, PACKED[name])
    assert found is not None and found.reason == "pickle" and found.globals == (found.globals[0],)
    assert "system" in found.what


FINE_ONES = {
    "a.pkl": FINE,
    "a.txt": b"import os; os.system('x')",
    "notes.pkl": b"this is text, and no pickle\n",
    "a.npy": objects("text"),
    "a.zip": zipped({"a.py": b"code", "b.png": b"\x89PNG", "a.pkl": FINE}),
    "firmware.bin": b"\x7fELF" + bytes(range(256)),
    "a.pth": tarred({"storages": FINE, "other": b"cos\nsystem\n."}),
    "tokenizer.model": b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02",
    "p.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99999999\n",
    "empty.pkl": b"",
    "cos.txt": b"cos\nsystem\nthe rest of a text",
    "named.txt": b"cos\nsystem\n.",
    "a.fish": b"complete -c python -s m\ncomplete -c python -s x\n" * 20,
    "domains": b"cnn.com\nbbc.com\n" * 40,
    "a.py": b"import os\nos.system('x')\n" * 40,
    "x.md": b"x^2 is a text, and no zlib stream",
    "a.tgz": gzip.compress(tarred({"a.txt": b"cos\n"})),
    "broken.gz": gzip.compress(tarred({"a.txt": b"text" * 999}))[:-30],
}


@pytest.mark.parametrize("name", FINE_ONES)
def test_what_may_pass_passes(name: str) -> None:
    assert seen(name, FINE_ONES[name]) is None


@pytest.mark.parametrize("data", [b"\x80\x04\x95", EVIL[:-30], b"\x80\x02" + b"\xff" * 50], ids=["a", "b", "c"])
def test_a_pickle_that_breaks_off_does_not_pass(data: bytes) -> None:
    found = seen("a.pkl", data)
    assert found is not None and ("cannot be followed" in found.what or "system" in found.what)


def test_archives_that_cannot_be_read_do_not_pass() -> None:
    good = bytearray(zipped({"a.pkl": EVIL}))
    for at in (6, good.index(b"PK\x01\x02") + 8):
        good[at] |= 1  # encrypted
    for data in (bytes(good), b"PK\x03\x04rubbish", gzip.compress(EVIL)[:-20]):
        found = seen("a.pt", data)
        assert found is not None and "cannot be followed" in found.what


@pytest.mark.parametrize(
    ("name", "head", "refused"),
    [
        ("m.safetensors", b"", True),
        ("M.GGUF", b"", True),
        ("m", b"GGUF\x03\0\0\0", True),
        ("m.dat", (64).to_bytes(8, "little") + b'{"a":', True),
        ("m.dat", b"\x93NUMPY\1\0", True),
        ("m.dat", b"\x89HDF\r\n\x1a\n", True),
        ("m.dat", b"\x80\x02\x8a\nl\xfc", True),
        ("m.dat", b"PK\x03\x04" + bytes(22) + b"\x10\0\0\0archive/data.pkl", True),
        ("film.mp4", b"\0\0\0 ftypisom", False),
        ("table.csv", b"a,b\n", False),
    ],
)
def test_large_weights_are_known_by_name_or_by_their_first_bytes(name: str, head: bytes, refused: bool) -> None:
    found = seen(name, head, size=1 << 30)
    assert (found is not None and found.reason == "weights") == refused
    assert (found.size if found else 1 << 30) == 1 << 30


def test_rules(tmp_path: Path) -> None:
    assert read_rules(tmp_path) == Rules()
    (tmp_path / "mvc.yaml").write_text(
        "hooks: {weights: 2 MB, allow: ['tests/*', tiny.gguf], globals: [nt.system, posix.system], pickles: strict}\n"
    )
    rules = read_rules(tmp_path)
    assert (rules.weights, rules.strict) == (2_000_000, True)
    assert seen("a.gguf", b"", size=1_999_999, rules=rules) is None
    assert seen("a.gguf", b"", size=2_000_000, rules=rules) is not None
    assert seen("tests/data/a.gguf", b"", size=2_000_000, rules=rules) is None
    assert seen("deep/tiny.gguf", b"", size=2_000_000, rules=rules) is None
    assert seen("a.pkl", EVIL, rules=rules) is None
    own = b"\x80\x04\x8c\x05mynet\x8c\x03Net\x93)\x81."
    assert seen("a.pkl", own) is None and "mynet.Net" in seen("a.pkl", own, rules=rules).what  # type: ignore[union-attr]
    assert seen("a.pt", b"\x80\x02N.", size=1 << 40, rules=Rules(weights=0)).what.startswith("it is too large")  # type: ignore[union-attr]
    for wrong in (
        "hooks: 3",
        "hooks: {size: 3}",
        "hooks: {weights: much}",
        "hooks: {allow: {a: b}}",
        "hooks: {pickles: no}",
    ):
        (tmp_path / "mvc.yaml").write_text(wrong)
        with pytest.raises(ParseError):
            read_rules(tmp_path)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), (512, 512), ("5 MB", 5_000_000), ("1k", 1024), ("1.5GiB", 3 << 29), ("2m", 2 << 20)]
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@given(st.sampled_from(["a.pkl", "a.pt", "a.joblib", "a.npy", "a.zip", "a.dat", "a.pkl.gz"]), st.binary(max_size=300))
def test_no_bytes_break_it(name: str, data: bytes) -> None:
    for start in (b"", b"\x80\x04", b"PK\x03\x04", b"\x93NUMPY\1\0", b"\x1f\x8b", b"x\x9c", b"BZh9"):
        seen(name, start + data)


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_the_index_is_what_counts(tmp_path: Path, form: str) -> None:
    outer = Outer(tmp_path / "p", tmp_path)
    outer.top.mkdir()
    outer.git("init", "-q", f"--object-format={form}")
    project = find_project(outer.top)
    outer.write(**{'odd "name"\n': b"one", "b": b"two" * 5000})
    outer.git("add", ".")
    outer.write(b="not staged")
    (outer.top / "link").symlink_to("b")
    outer.write(later="x")
    outer.git("add", "link")
    outer.git("add", "-N", "later")
    files = staged_files(project)
    assert [(one.path, one.size) for one in files] == [("b", 15_000), ('odd "name"\n', 3)], "no commit yet"

    def contents() -> None:
        with Blobs.of(project) as blobs:
            assert [blobs.head(one.id, 4, one.size) for one in files] == [b"twot", b"one"]
            assert [blobs.read(one.id) for one in files] == [b"two" * 5000, b"one"]

    contents()
    outer.git("commit", "-q", "-m", "one")
    assert staged_files(project) == []
    assert [one.path for one in committed_files(project, "HEAD")] == ["b", 'odd "name"\n']
    outer.git("repack", "-q", "-a", "-d")
    outer.git("prune-packed")
    contents()
    outer.git("mv", "b", "c")
    assert [one.path for one in staged_files(project)] == ["c"]
