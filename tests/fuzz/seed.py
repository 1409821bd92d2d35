"""Writes the first inputs of each corpus: small files in good order. `python tests/fuzz/seed.py FOLDER`."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.formats import making as make

GOLDEN = Path(__file__).parents[1] / "objects" / "golden"
DATA = Path(__file__).parents[1] / "formats" / "data"


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
        "config": [b'[core]\n\tbare = true # x\n[remote "a\\"b"] url = "x \\\n y"\n'],
    }


def main() -> None:
    for name, inputs in seeds().items():
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main()
