#!/usr/bin/env python3
"""Restores any revision from an mvc repository, without mvc: your models are not locked in.

usage: reader.py REPOSITORY REVISION FOLDER

REPOSITORY is a `.mvc` folder, or the folder it lies in. REVISION is HEAD, a branch, a tag, a commit's id or the
start of one, with ~N behind it or not. FOLDER (new or empty) gets its files. Reads the formats that the pages beside
this file describe, and changes nothing. Needs Python 3.9, numpy and zstandard; with blake3 installed, every byte is
checked. Metadata is not restored: `git --git-dir=.mvc show main:.mvcmeta/params.yaml` shows it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

blake3: Any = importlib.import_module("blake3").blake3 if importlib.util.find_spec("blake3") else None
ASTRAY = set("/\\:" if os.name == "nt" else "/")  # what in a name leads elsewhere


def demand(truth: bool, what: str) -> None:
    """What is read must be what the format says."""
    if not truth:
        sys.exit(f"error: {what}")


def mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class Objects:
    """The Git objects of a repository by id (40 hex digits): loose, and in packs (Git's gitformat-pack)."""

    def __init__(self, folder: Path) -> None:
        self.loose = {path.parent.name + path.name: path for path in folder.glob("[0-9a-f][0-9a-f]/*")}
        self.packed: dict[str, tuple[memoryview, int]] = {}
        for path in folder.glob("pack/*.idx"):
            idx, pack = path.read_bytes(), mapped(path.with_suffix(".pack"))
            demand(idx[:8] == b"\xfftOc\0\0\0\2", f"{path.name} is of an unknown version")
            (count,) = struct.unpack_from(">I", idx, 8 + 4 * 255)
            for i in range(count):
                (at,) = struct.unpack_from(">I", idx, 1032 + 24 * count + 4 * i)
                if at & 0x80000000:
                    (at,) = struct.unpack_from(">Q", idx, 1032 + 28 * count + 8 * (at & 0x7FFFFFFF))
                self.packed[idx[1032 + 20 * i : 1052 + 20 * i].hex()] = pack, at

    def read(self, name: str) -> tuple[str, bytes]:
        """An object's kind and content; checks that it hashes to its id."""
        if name in self.loose:
            head, _, content = zlib.decompress(self.loose[name].read_bytes()).partition(b"\0")
            kind = head.split()[0].decode()
        else:
            demand(name in self.packed, f"object {name} is not there")
            kind, content = self._entry(*self.packed[name])
        whole = f"{kind} {len(content)}".encode() + b"\0" + content
        demand(hashlib.sha1(whole).hexdigest() == name, f"object {name} is damaged")
        return kind, content

    def _entry(self, pack: memoryview, start: int) -> tuple[str, bytes]:
        kind, at = pack[start] >> 4 & 7, start
        while pack[at] & 0x80:
            at += 1
        at += 1
        if kind == 6:
            back = pack[at] & 0x7F
            while pack[at] & 0x80:
                at += 1
                back = (back + 1) << 7 | (pack[at] & 0x7F)
            at += 1
            found, base = self._entry(pack, start - back)
        elif kind == 7:
            found, base = self.read(bytes(pack[at : at + 20]).hex())
            at += 20
        content = zlib.decompressobj().decompress(pack[at:])
        if kind in (6, 7):
            return found, apply_delta(base, content)
        return {1: "commit", 2: "tree", 3: "blob", 4: "tag"}[kind], content


def apply_delta(source: bytes, delta: bytes) -> bytes:
    """Git's own delta, of the objects in its packs."""
    at, out = 0, bytearray()
    for _ in range(2):  # two sizes, of which the object's id makes us independent
        while delta[at] & 0x80:
            at += 1
        at += 1
    while at < len(delta):
        op, at = delta[at], at + 1
        if op & 0x80:
            value = 0
            for bit in range(7):
                if op >> bit & 1:
                    value, at = value | delta[at] << 8 * bit, at + 1
            start, length = value & 0xFFFFFFFF, value >> 32 or 0x10000
            out += source[start : start + length]
        else:
            out += delta[at : at + op]
            at += op
    return bytes(out)


def read_ref(git: Path, ref: str) -> str:
    """The id that a ref has, or ""."""
    if (git / ref).is_file():
        text = (git / ref).read_text().strip()
        return read_ref(git, text[5:]) if text.startswith("ref: ") else text
    packed = (git / "packed-refs").read_text().splitlines() if (git / "packed-refs").exists() else []
    return next((line[:40] for line in packed if line[41:] == ref), "")


def resolve(git: Path, objects: Objects, revision: str) -> str:
    """The id of the commit that a revision names."""
    name, tilde, back = revision.partition("~")
    found = next(filter(None, (read_ref(git, at + name) for at in ("", "refs/", "refs/tags/", "refs/heads/"))), "")
    if not found:
        candidates = {one for one in (*objects.loose, *objects.packed) if one.startswith(name) and len(name) >= 4}
        demand(len(candidates) == 1, f"no single commit is named {name}")
        found = candidates.pop()
    while objects.read(found)[0] == "tag":
        found = header(objects, found, "object")
    for _ in range(int(back or 1) if tilde else 0):
        found = header(objects, found, "parent")
    return found


def header(objects: Objects, name: str, key: str) -> str:
    """The first field of that key in a commit or tag."""
    fields = (line.partition(b" ") for line in objects.read(name)[1].split(b"\n\n")[0].split(b"\n"))
    found = next((value.decode() for field, _, value in fields if field == key.encode()), "")
    demand(bool(found), f"{name} has no {key}")
    return found


def files(objects: Objects, tree: str, prefix: str = "") -> Iterator[tuple[str, int, str]]:
    """(path, mode, id) of every file below a tree, but for the metadata; refuses names that lead astray."""
    entries, at = objects.read(tree)[1], 0
    while at < len(entries):
        space, end = entries.index(b" ", at), entries.index(b"\0", at)
        mode, name = int(entries[at:space], 8), os.fsdecode(entries[space + 1 : end])
        child, at = entries[end + 1 : end + 21].hex(), end + 21
        demand(name.lower() not in ("", ".", "..", ".git", ".mvc") and not set(name) & ASTRAY, f"bad name {name!r}")
        if mode == 0o40000 and prefix + name != ".mvcmeta":
            yield from files(objects, child, f"{prefix}{name}/")
        elif mode != 0o40000:
            yield prefix + name, mode, child


class Chunks:
    """The chunks of a repository by name (32 bytes): pack.md. Every pack is gone through from front to back."""

    def __init__(self, git: Path) -> None:
        self.where: dict[bytes, tuple[memoryview, int]] = {}
        self.plain = True
        # The repository's own come last, and hold where both have a chunk: received.md.
        for path in (*git.glob("received/packs/*/*.pack"), *git.glob("chunks/packs/*/*.pack")):
            pack = mapped(path)
            magic, version, cipher, naming, _ = struct.unpack_from("<8sHBBI", pack)
            demand((magic, version, cipher) == (b"mvcpack\0", 1, 0), f"{path.name} is of an unknown version")
            self.plain &= naming == 0
            at = 16
            while at < len(pack) - 48:
                name, _, stored, _, _, bases, params, _ = struct.unpack_from("<32sIIBBBBI", pack, at)
                self.where[name] = pack, at
                at += 64 + 32 * bases + params + stored
            demand(at == len(pack) - 48, f"{path.name} is damaged")

    def read(self, name: bytes) -> bytes:
        """A chunk's raw bytes."""
        demand(name in self.where, f"chunk {name.hex()} is not there")
        pack, at = self.where[name]
        _, size, stored, codec, depth, count, nparams, _ = struct.unpack_from("<32sIIBBBBI", pack, at)
        tail = bytes(pack[at + 64 : at + 64 + 32 * count + nparams + stored])
        if blake3:
            good = blake3(bytes(pack[at : at + 48]) + tail).digest(16) == pack[at + 48 : at + 64]
            demand(good and depth <= 4, f"chunk {name.hex()} is damaged")
        base = b"".join(self.read(tail[32 * i : 32 * i + 32]) for i in range(count))
        params, payload = tail[32 * count : 32 * count + nparams], tail[32 * count + nparams :]
        raw = decode(codec, params, payload, size, base)
        good = len(raw) == size and not (blake3 and self.plain and blake3(raw).digest() != name)
        demand(good, f"chunk {name.hex()} is not what its name says")
        return raw


def decode(codec: int, params: bytes, payload: bytes, size: int, base: bytes) -> bytes:
    """Undo a codec (0 raw, 1 zstd, 2 planes, 3 delta, 4 cast): codecs.md."""
    if codec == 0:
        return payload
    if codec == 1:
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size)
    demand(codec in (2, 3, 4), f"codec {codec} is unknown")
    flags, head, at = params[0], params[1], 2
    width, variant = 1 << (flags & 3), bool(flags & 0x10)
    low = ((8,), (4, 4), (2, 2, 4))[flags >> 2 & 3]
    order = b""
    if flags & 0x20:
        order, at = params[3 : 4 + params[2]], 4 + 5 * params[2]  # then 4 bytes a group, where it begins: not needed
    n, dtype = (size - head) // width, np.dtype(f"<u{width}")
    z, shift, taken = np.zeros(n, dtype), 0, 0
    for bits in (*low, *(8,) * (width - 1)):
        mode, length = params[at], (n * bits + 7) // 8
        if mode == 0:
            plane, at = bytes([params[at + 1]]) * length, at + 2
        elif mode == 1:
            plane, taken, at = payload[taken : taken + length], taken + length, at + 1
        else:
            (stored,) = struct.unpack_from("<I", params, at + 1)
            frame, taken, at = payload[taken : taken + stored], taken + stored, at + 5
            plane = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
        packed = np.frombuffer(plane, np.uint8)  # of fields of that many bits, the first in the lowest bits
        fields = np.stack([packed >> place & ((1 << bits) - 1) for place in range(0, 8, bits)], axis=1).reshape(-1)[:n]
        z |= fields.astype(dtype) << dtype.type(shift)
        shift += bits
    rest = payload[taken:]
    if codec == 2:
        x = (z >> dtype.type(1)) | (z << dtype.type(8 * width - 1)) if variant else z
    else:
        expected = predict(codec, variant, base[head:], dtype, n)
        if order:
            keys = (expected << dtype.type(order[0])) >> dtype.type(8 * width - 8)
            group = np.searchsorted(np.frombuffer(order[1:], np.uint8), keys.astype(np.uint8), side="right")
            placed = np.empty_like(z)
            placed[np.argsort(group, kind="stable")] = z
            z = placed
        x = expected + ((z >> dtype.type(1)) ^ (dtype.type(0) - (z & dtype.type(1))))
    return rest[:head] + x.tobytes() + rest[head:]


def predict(codec: int, half: bool, base: bytes, dtype: Any, n: int) -> Any:
    """What the elements are expected to be: those of the base, or its FP32 rounded to BF16 or FP16."""
    size = n * (4 if codec == 4 else dtype.itemsize)
    base = base[:size].ljust(size, b"\0")
    if codec == 3:
        return np.frombuffer(base, dtype)
    f = np.frombuffer(base, "<u4")
    rounded = (f + np.uint32(0x7FFF) + (f >> 16 & 1)) >> 16
    if half:
        with np.errstate(all="ignore"):
            rounded = f.view("<f4").astype("<f2").view("<u2")
    nan = (f >> 16 & 0x8000) | 0x7E00 if half else 0x7FC0
    return np.where((f & 0x7FFFFFFF) > 0x7F800000, nan, rounded).astype("<u2")


def content(blob: bytes, chunks: Chunks) -> Iterator[bytes]:
    """A file's bytes, piece by piece: the blob itself, or what its manifest lists (manifest.md)."""
    if not blob.startswith(b"mvc-manifest "):
        yield blob
        return
    demand(blob.startswith(b"mvc-manifest 1\n"), "the manifest is of an unknown version")
    lines = [line.split(" ") for line in blob.decode().splitlines()]
    size, digest, hasher = int(lines[1][1]), lines[2][1], blake3() if blake3 else None
    for line in lines:
        names = [bytes.fromhex(line[1])] if line[0] in ("chunk", "list") else []
        if line[0] == "list":
            row = chunks.read(names[0])
            names = [row[12 + 32 * i : 44 + 32 * i] for i in range(struct.unpack_from("<I", row, 8)[0])]
        for name in names:
            raw = chunks.read(name)
            size -= len(raw)
            if hasher:
                hasher.update(raw)
            yield raw
    demand(size == 0 and (not hasher or hasher.hexdigest() == digest), "the file is not what its manifest says")


def main(repository: str, revision: str, folder: str) -> None:
    git = Path(repository) / ".mvc" if (Path(repository) / ".mvc").is_dir() else Path(repository)
    objects, chunks = Objects(git / "objects"), Chunks(git)
    demand(not os.path.exists(folder) or not os.listdir(folder), f"{folder} is not empty")
    links: list[tuple[Path, bytes]] = []
    for path, mode, name in files(objects, header(objects, resolve(git, objects, revision), "tree")):
        target, blob = Path(folder) / path, objects.read(name)[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == 0o120000:
            links.append((target, blob))
            continue
        with target.open("xb") as out:
            out.writelines(content(blob, chunks))
        target.chmod(0o755 if mode & 0o100 else 0o644)
    for target, blob in links:  # last, so that nothing was written through one
        os.symlink(os.fsdecode(blob), target)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
