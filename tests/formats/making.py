"""Model files byte by byte, so that a test can make them lie."""

from __future__ import annotations

import json
import struct
from typing import Any


def safetensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """`header`: the JSON as a value, or its text as it is to stand there."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def gguf_string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_info(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
    return gguf_string(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf(
    pairs: list[bytes],
    infos: list[bytes],
    data: bytes = b"",
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file with an alignment of 32 before its data."""
    tensors, metadata = counts or (len(infos), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, metadata) + b"".join(pairs) + b"".join(infos)
    return head + bytes(-len(head) % 32) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def proto(number: int, value: int | bytes, *, length: int | None = None) -> bytes:
    """A protobuf field: a varint, or bytes with their length (or the one that is claimed)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value) if length is None else length) + value


def onnx_tensor(name: str, dims: list[int], data_type: int, raw: bytes, **external: str) -> bytes:
    head = b"".join(proto(1, dim) for dim in dims) + proto(2, data_type) + proto(8, name.encode())
    if not external:
        return head + proto(9, raw)
    pairs = b"".join(proto(13, proto(1, key.encode()) + proto(2, value.encode())) for key, value in external.items())
    return head + pairs + proto(14, 1)


def onnx_model(*initializers: bytes, nodes: tuple[bytes, ...] = ()) -> bytes:
    graph = b"".join(proto(1, node) for node in nodes) + proto(2, b"g")
    return proto(1, 10) + proto(7, graph + b"".join(proto(5, tensor) for tensor in initializers))


def zip_archive(entries: list[tuple[str, bytes]], **lies: int) -> bytes:
    """A zip of stored entries. `lies` override fields of the last entry and of the end record."""
    out, directory = bytearray(), bytearray()
    for number, (name, data) in enumerate(entries):
        last = lies if number == len(entries) - 1 else {}
        raw, method = name.encode(), last.get("method", 0)
        at = last.get("header", len(out))
        packed, size = last.get("packed", len(data)), last.get("size", len(data))
        out += (
            struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 0, 0x800, method, 0, 0, 0, packed, size, len(raw), 0) + raw + data
        )
        directory += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 0, 0x800, method, 0, 0, 0, packed, size, len(raw), 0, 0, 0, 0, 0, at
        )
        directory += raw
    count, size = lies.get("count", len(entries)), lies.get("directory_size", len(directory))
    offset = lies.get("directory_offset", len(out))
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, 0)
    return bytes(out + directory + end)


def zip64_archive(entries: list[tuple[str, bytes]]) -> bytes:
    """A zip whose sizes and offsets all stand in 64-bit fields, as in one of more than 4 GB."""
    out, directory = bytearray(), bytearray()
    for name, data in entries:
        raw, wide = name.encode(), 0xFFFF_FFFF
        extra = struct.pack("<HHH", 7, 2, 0) + struct.pack("<HHQQQ", 1, 24, len(data), len(data), len(out))
        directory += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 45, 0, 0, 0, 0, 0, wide, wide, len(raw), len(extra), 0, 0, 0, 0, wide
        )
        directory += raw + extra
        out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 0, 0, wide, wide, len(raw), 3) + raw + b"xyz" + data
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), len(directory), len(out)
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(out) + len(directory), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0)
    return bytes(out + directory + record + locator + end)


def torch_archive(pickle: bytes, storages: dict[str, bytes], **lies: int) -> bytes:
    files = [("archive/data.pkl", pickle), ("archive/byteorder", b"little"), ("archive/version", b"3\n")]
    return zip_archive(files + [(f"archive/data/{key}", data) for key, data in storages.items()], **lies)


def pickled_tensor(
    key: str, count: int, shape: tuple[int, ...], offset: int = 0, strides: tuple[int, ...] | None = None
) -> bytes:
    """The opcodes (protocol 2, no STOP) that put a float32 tensor on the stack."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    def number(value: int) -> bytes:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    if strides is None:
        strides = tuple(_product(shape[position + 1 :]) for position in range(len(shape)))
    identity = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(key) + _text("cpu") + number(count) + b"tQ"
    arguments = (
        b"(" + identity + number(offset) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)Rt"
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def pickled_dict(items: dict[str, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(_text(key) + value for key, value in items.items()) + b"u."


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _product(values: tuple[int, ...]) -> int:
    result = 1
    for value in values:
        result *= value
    return result
