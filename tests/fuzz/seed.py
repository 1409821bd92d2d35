"""Writes the first inputs of each corpus: small files in good order. `python tests/fuzz/seed.py FOLDER`."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mvc.codecs.base import Base
from mvc.codecs.encode import encode
from mvc.store import holder
from mvc.store.records import Location
from mvc.sync.places import dump
from tests.formats import making as make

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "objects" / "golden"
DATA = TESTS / "formats" / "data"


def seeds() -> dict[str, list[bytes]]:
    one = make.pickled_tensor("0", 4, (2, 2))
    state = make.pickled_dict({"w": one, "b": make.pickled_tensor("0", 4, (4,)), "s": make.pickled_tensor("1", 1, ())})
    storages = {"0": bytes(16), "1": bytes(4)}
    archive = make.torch_archive(state, storages)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"
    npy = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(16)
    pairs = [
        make.gguf_string("general.alignment") + struct.pack("<II", 4, 32),
        make.gguf_string("k") + struct.pack("<IIQ", 9, 8, 2) + make.gguf_string("a") + make.gguf_string(""),
        make.gguf_string("n") + struct.pack("<IIQIIQ", 9, 9, 1, 5, 1, 7)[:-4],
    ]
    infos = [make.gguf_info("w", (2, 32), 2, 0), make.gguf_info("new", (3,), 99, 64)]
    tensor = make.onnx_tensor("w", [2, 2], 1, bytes(16))
    outside = make.onnx_tensor("x", [16], 2, b"", location="weights", offset="4", length="16")
    branch = make.proto(6, make.proto(5, tensor))
    node = make.proto(2, b"out") + make.proto(5, make.proto(5, tensor)) + make.proto(5, branch)
    model = make.onnx_model(tensor, outside, nodes=(node,))
    entry = {"w": make.entry("F32", [2, 2], 0, 16), "__metadata__": {"a": "b"}}
    whole = DATA / "whole"
    return {
        "safetensors": [make.safetensors(entry, bytes(16)), make.safetensors({}, b"x")],
        "gguf": [make.gguf(pairs, infos, bytes(80)), make.gguf([], [])],
        "onnx": [model],
        "pytorch": [archive, *((DATA / name).read_bytes() for name in ("tensor.pt", "parameter.pt", "views.pt"))],
        "distcp": [archive * 2, b"junk" + archive, (DATA / "sharded" / "__0_0.distcp").read_bytes()],
        "npy": [npy, npy.replace(b"False", b"True ").replace(b"<f4", b">f4")],
        "npz": [make.zip_archive([("w.npy", npy), ("v.npy", npy)]), make.zip64_archive([("w.npy", npy)])],
        "pickle": [state, b"\x80\x04\x8c\x01a\x8c\x01b\x93)\x81\x94}\x8c\x01c]bh\x00\x86."],
        "metadata": [(DATA / "sharded" / ".metadata").read_bytes(), (whole / ".metadata").read_bytes()],
        "detect": [b"\x06" + bytes(len(model)) + model, b"\x02" + archive * 2, b"\x00" + bytes(40)],
        "opaque": [b"some text", bytes(range(256)) * 4],
        "manifest": [(GOLDEN / "manifest-1.txt").read_bytes()],
        "chunklist": [(GOLDEN / "chunklist-1.bin").read_bytes()],
        "gitobjects": [
            b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n",
            b"object " + b"1" * 40 + b"\ntype commit\ntag v1\ntagger A <a> 1 +0000\n\nm\n",
            b"100644 a\0" + bytes(20) + b"40000 b\0" + bytes(20),
            b"\x35" + zlib.compress(b"hello"),
            bytes(64) + b"\x40\x0a\x90\x05\x05hello",
        ],
        **_stored(),
        **_texts(),
        **_wire(),
        "config": [b'[core]\n\tbare = true # x\n[remote "a\\"b"] url = "x \\\n y"\n'],
    }


def _stored() -> dict[str, list[bytes]]:
    """What a repository holds."""
    pack, chunk_index = (next((TESTS / "store" / "golden").glob(f"*.{kind}")).read_bytes() for kind in ("pack", "idx"))
    raw = bytes(range(64)) * 16
    chunks = [
        bytes((codec, *len(raw).to_bytes(2), len(params), len(base) // 16, 1 if base else 0)) + params + base + payload
        for codec, params, base, payload in _encoded(raw)
    ]
    held = holder.dump(holder.this_process("seed"))
    line = b"1" * 40 + b" " + b"2" * 40 + b" A <a> 1 +0000\tcommit: m\n"
    entry = bytes(24) + b"\0\0\x81\xa4" + bytes(12 + 20) + b"\0\3a/b" + bytes(7)
    return {
        "chunkindex": [chunk_index, bytes((1, 0x11)) + chunk_index[64:]],
        "gitindex": [bytes((2, 17, 34)) + bytes((17,)) * 20 + bytes((34,)) * 20 + bytes(16)],
        "record": [pack, pack[16:], pack[-48:]],
        "chunk": chunks,
        "stage": [
            (TESTS / "golden" / "stage-1.bin").read_bytes(),
            bytes((2, 3, 40, 0)) + bytes(64) + b"a\0b" + bytes(80),
        ],
        "holders": [held, held.split(b"\n", 1)[1], b"11" * 32 + b"\n"],
        "refs": [line * 2, b"# pack-refs with: sorted \n" + b"1" * 40 + b" refs/heads/main\n", b"refs/heads/main"],
        "outerindex": [b"DIRC\0\0\0\2\0\0\0\1" + entry + bytes(20), b"\0\0\0\1" + entry + bytes(20)],
    }


def _encoded(raw: bytes) -> Iterator[tuple[int, bytes, bytes, bytes]]:
    """Codec, params, base and payload of one chunk, by each way."""
    base = bytes(value ^ (value & 3) for value in raw[:255]) + raw[255:]
    for dtype, bases in (("F32", []), ("BF16", [Base("same", base)]), ("F16", [Base("fp32", base * 2)]), (None, [])):
        made = encode(raw, dtype, bases)
        used = b"" if made.base is None else bytes(bases[made.base].raw)
        yield made.codec, made.params, used, b"".join(made.payload)


def _wire() -> dict[str, list[bytes]]:
    """What comes over a line."""
    pack = next((TESTS / "store" / "golden").glob("*.pack")).read_bytes()
    names = [bytes([number]) * 32 for number in range(4)]
    found = {
        names[0]: Location(b"p" * 32, 16, 1024, 500, 2, 0, 9, ()),
        names[2]: Location(b"q" * 32, 64, 1024, 90, 3, 1, 9, (names[0],)),
        b"z" * 32: Location(b"q" * 32, 700, 8, 8, 0, 0, 0, ()),
    }
    at = dump(names, found, {b"p" * 32: 4096, b"q" * 32: 8192})
    refs = b"+ref %s refs/heads/main\n+ref %s refs/tags/v1\n" % (b"1" * 40, b"2" * 40)
    packs = b"+git %s 900 1100\n+chunks %s 4096 %s 700\n" % (b"3" * 40, b"4" * 64, b"5" * 64)
    head = b"mvc-txn 1\nseq 7\nbefore %s\nnonce %s\ngeneration 0\nat 1\nby a\nhead refs/heads/main\nsnapshot\n"
    blob = b"\x35" + zlib.compress(b"hello")
    delta = b"\x67\x13" + zlib.compress(b"\x05\x0a\x90\x05\x05hello")
    return {
        "entry": [refs + packs, refs, packs, head % (b"0" * 64, b"1" * 32) + refs + packs],
        "located": [at, at[24:], bytes((0, 1, 255, 4)), b"".join(names)],
        "gitpack": [b"\1" + blob, b"\2" + blob + delta, b"PACK\0\0\0\2\0\0\0\1" + blob],
        "passing": [b"\x10" + pack[16:-48], pack],
        "request": [
            b"/team/model/-/mvc/1/objects/txn/000000000001",
            b"/-/mvc/1/",
            b"a/b/c/d",
            b"/a/../b/-/mvc/1/locate",
        ],
    }


def _texts() -> dict[str, list[bytes]]:
    """What people type, or others send."""
    lock = b"file 100644 3 blake3:" + b"1" * 64 + b' "a/b"\n'
    return {
        "values": [
            b"a: 1\nb:\n  c: x y\n  d: [1, 2.5]\n",
            b'{"a": {"b": 1e9}}',
            b"[a]\nb = 1979-05-27\n",
            b"lr=1e-5",
            b"x: &a {y: 1}\nz:\n  <<: *a\n",
        ],
        "groups": [
            b"a:\n  location: x\n",
            b"bases: [{commit: " + b"a" * 40 + b"}]\n",
            b"t: {columns: [a], rows: [[1]]}\n",
        ],
        "series": [b'{"step":1,"metrics":{"a":"NaN"}}\n', b"step,a\n1,2\n", b'{"log_history":[{"step":1,"loss":0.5}]}'],
        "notes": [b'{"id":"a","at":1,"metrics":{"a":{"float":"nan"}}}\n\n{"id":"b","removed":["metrics.a"]}\nhello\n'],
        "card": [
            b"license: mit\ntags: [a]\nmodel-index:\n- name: x\n  results: []\n",
            b"\xef\xbb\xbf---\na: 1\n---\nx",
        ],
        "project": [b"params: [a]\ndatasets: {a: {path: x}}\ntags: {a: 1}\nzz: 1\n"],
        "unpickled": [
            b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93q\x00)\x81}b.",
            b"(cos\nsystem\nVx\nS'y'\nios\nsystem\n(lp0\ng0\n\x852R.",
        ],
        "guarded": [
            b"\x00\x80\x04\x8c\x02os\x8c\x06system\x93.",
            b"\x04PK\x03\x04" + bytes(22) + b"\x05\0\0\0a.pkl",
            b"\x03\x93NUMPY\1\0\x20\0{'descr': '|O', }" + b" " * 16 + b"\x80\x04N.",
        ],
        "mvclock": [lock, b"remote " + b"[" * 100_000, b'remote "https://u@x/y"\n' + lock],
        "patterns": [b"*.pt\n!/a/**/[a-c]?\n/a/x/b1/abcdefg", b"a/*/**/[[:digit:]!]x/a/a/b/c/1x/hijkl"],
        "query": [
            b"metrics.acc > 0.92 and params.lr < 1e-4 and tags.task = 'ner' or name ~ 'bert*'",
            '训练 "warmup" or text ~ \'a "模 b" c*\' and not card is null'.encode(),
            b"metrics.`acc@m.safetensors` not in (1, 'a', nan, true) and (branch = main or date >= 2026-01)",
            b"size <= 1.5GiB and author not ilike '%ann_' and params.n is not nan and attributes.run_id = '9e37'",
            b"params.opt ~ '[!a-c]*[' and path like 'a%' and base != 'abcd' and parents > 1 and tag < 'v2'",
            b"(" * 500,
            b"not " * 2000 + b"a",
        ],
        "gate": [b"a >= 0.92", b"delta(b) <= 5% and not (size > 100MB or `n` in ('x', null))"],
        "step": [b"Target: " + b"2" * 40, b"Review: p\nVerdict: approve\nTarget: " + b"2" * 40],
        "revision": [
            b"HEAD~2^{tree}",
            b"HEAD~" + b"9" * 5000,
            b":/a{99999999999}",
            b":/" + b"(" * 5000,
            b"@" * 300,
            b"@{-1}",
            b"b@{1}..HEAD^@",
            b"HEAD:a/b",
            b"@{2 weeks ago}",
            b":/number",
            b"2026-01-31 12:00 +0100",
            b"last friday noon",
            b"HEAD^{/num}",
            b"b^2",
            b"v1-3-g12ab34f",
        ],
    }


def main() -> None:
    for name, inputs in seeds().items():
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main()
