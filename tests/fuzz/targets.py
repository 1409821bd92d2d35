"""What is fuzzed: each takes any bytes, and fails on anything but a layout that covers them or a ParseError.

`fuzz.py` drives them with atheris, `test_corpus.py` replays what that found worth keeping.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from mvc.chunking.opaque import cut_opaque
from mvc.chunking.plan import pieces, plan
from mvc.errors import IntegrityError, ParseError, UnsafePath, UnsupportedFormat
from mvc.formats import (
    distcp,
    gguf,
    npy,
    npz,
    onnx,
    onnxdata,  # noqa: F401  (loaded here, so that atheris instruments what the registry loads by name)
    pickles,
    pytorch,
    registry,
    safetensors,
    torchnames,
)
from mvc.formats.base import Layout, Parser, ReadAt
from mvc.formats.beside import Beside
from mvc.formats.cover import check_tensors
from mvc.formats.limits import Budget
from mvc.objects import chunklist, configtext, encoding, manifest, packentry, paths
from mvc.objects.delta import apply_delta, result_size
from tests.fuzz import gate, guards, query, records, stored, texts, wire


def _reader(data: bytes) -> ReadAt:
    def read_at(offset: int, length: int) -> bytes:
        assert 0 <= offset <= len(data), f"reads at {offset}"
        assert 0 <= length <= 64 * 1024 * 1024, f"reads {length} bytes"
        return data[offset : offset + length]

    return read_at


def _check(layout: Layout, data: bytes) -> None:
    """The segments cover the file, the tensors keep their limits, and the chunks add up."""
    tensors = [segment.tensor for segment in layout.segments if segment.tensor is not None]
    check_tensors(tensors)
    planned = list(plan(layout, len(data)))
    if len(planned) < 200:
        cut = [piece for segment in planned for piece in pieces(segment, _reader(data))]
        assert sum(length for _, length in cut) == len(data)


def _parser(parse: Parser) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        try:
            layout = parse(_reader(data), len(data), "model")
        except ParseError:
            return
        _check(layout, data)

    return target


def _onnx(data: bytes) -> None:
    """With smallest sizes that short inputs reach."""
    kept = onnx.SMALLEST_INITIALIZER, onnx.SMALLEST_CONSTANT
    onnx.SMALLEST_INITIALIZER, onnx.SMALLEST_CONSTANT = 1, 4
    try:
        _parser(onnx.parse)(data)
    finally:
        onnx.SMALLEST_INITIALIZER, onnx.SMALLEST_CONSTANT = kept


def _pickle(data: bytes) -> None:
    try:
        names = torchnames.named_views(pickles.walk(data, Budget(50_000, "opcodes")))
    except ParseError:
        return
    assert all(isinstance(name, str) for name, _ in names)


def _metadata(data: bytes) -> None:
    try:
        files = distcp.item_names(_reader(data), len(data))
    except ParseError:
        return
    for items in files.values():
        assert all(isinstance(start, int) and isinstance(name, str) for start, name in items.items())


def _detect(data: bytes) -> None:
    """Half of the input is the file, half an .onnx beside it; the first byte chooses the name."""
    names = ("m.safetensors", "m.gguf", "m.pt", "m.npz", "m.npy", "m.distcp", "weights", "m.bin")
    name, rest = names[data[0] % len(names)] if data else "weights", data[1:]
    half = len(rest) // 2
    files = {name: rest[:half], "m.onnx": rest[half:], ".metadata": rest[half:]}
    beside = Beside(list(files), lambda each: _Opened(files[each]))
    try:
        layout = registry.detect(_reader(files[name]), half, name, beside)
    except ParseError:
        return
    if layout is not None:
        _check(layout, files[name])


class _Opened:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __enter__(self) -> tuple[ReadAt, int]:
        return _reader(self.data), len(self.data)

    def __exit__(self, *_: object) -> None:
        return None


def _opaque(data: bytes) -> None:
    """The input, repeated so that there is something to cut."""
    whole = data * (200_000 // len(data)) if data else b""
    read_at = _reader(whole)
    assert b"".join(read_at(*chunk) for chunk in cut_opaque(read_at, 0, len(whole))) == whole


def _manifest(data: bytes) -> None:
    """With the first line given, which no fuzzer needs to find. What is taken has exactly one text."""
    for text in (data, manifest.MAGIC + data):
        try:
            found = manifest.parse(text)
        except (ParseError, UnsupportedFormat):
            continue
        assert manifest.dump(found) == text
        assert manifest.identity(text) == (found.size, found.blake3)


def _chunk_list(data: bytes) -> None:
    for text in (data, chunklist.MAGIC + data):
        try:
            assert chunklist.dump(chunklist.parse(text)) == text
        except ParseError:
            continue


def _git_objects(data: bytes) -> None:
    """Commits, tags, trees, pack entries and deltas, as another repository may send them."""
    for parse in (encoding.parse_commit, encoding.parse_tag):
        with contextlib.suppress(ParseError):
            parse("0" * 40, data)
    with contextlib.suppress(ParseError, UnsafePath):
        entries = encoding.parse_tree(data)
        paths.check_entries(entries, root=True)
        assert sorted(encoding.parse_tree(encoding.dump_tree(entries))) == sorted(entries)
    with contextlib.suppress(IntegrityError):
        packentry.read_entry(_reader(data + bytes(64)), 0)
    with contextlib.suppress(IntegrityError):
        assert len(apply_delta(data[:64], data[64:])) == result_size(data[64:])


def _config(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        parts = configtext.parse(text)
    except ParseError:
        return
    assert "".join(part.text for part in parts) == text


TARGETS: dict[str, Callable[[bytes], None]] = {
    "safetensors": _parser(safetensors.parse),
    "gguf": _parser(gguf.parse),
    "onnx": _onnx,
    "pytorch": _parser(pytorch.parse),
    "distcp": _parser(distcp.parse),
    "npy": _parser(npy.parse),
    "npz": _parser(npz.parse),
    "pickle": _pickle,
    "metadata": _metadata,
    "detect": _detect,
    "opaque": _opaque,
    "manifest": _manifest,
    "chunklist": _chunk_list,
    "gitobjects": _git_objects,
    "config": _config,
    "chunkindex": stored.chunk_index,
    "gitindex": stored.git_index,
    "record": stored.record,
    "chunk": stored.chunk,
    "stage": stored.stage,
    "holders": stored.holders,
    "refs": stored.refs,
    "outerindex": stored.outer_index,
    "values": texts.values,
    "groups": records.groups,
    "series": records.series,
    "notes": records.notes,
    "card": records.card,
    "project": records.project,
    "unpickled": guards.unpickled,
    "guarded": guards.guarded,
    "mvclock": texts.mvc_lock,
    "patterns": texts.patterns,
    "revision": texts.revision,
    "query": query.query,
    "gate": gate.gate,
    "step": gate.step,
    "entry": wire.entry,
    "located": wire.located,
    "gitpack": wire.git_pack,
    "passing": wire.passing,
    "request": wire.request,
}
