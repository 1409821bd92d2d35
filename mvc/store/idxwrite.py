"""Writing idx files; that of one new pack without numpy, which a small `add` would wait a tenth of a second for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from struct import pack

from blake3 import blake3

from mvc import fsio
from mvc.store.idx import ENTRY, HEADER, MAGIC, PACK, VERSION, fan_bits
from mvc.store.records import NAME_SIZE, Location


def write_pack_idx(
    pack_id: bytes, pack_size: int, records: Mapping[bytes, Location], idx_dir: Path, tmp_dir: Path
) -> Path:
    """Write the idx of one pack that holds `records` (one or more), durably; returns its path."""
    bits = fan_bits(len(records))
    counts = [0] * (1 << bits)
    names, entries, bases = sorted(records), bytearray(), bytearray()
    for name in names:
        place = records[name]
        counts[int.from_bytes(name[:4]) >> (32 - bits)] += 1
        entries += ENTRY.pack(
            place.offset,
            place.raw_size,
            place.stored_size,
            0,
            len(bases) // NAME_SIZE if place.bases else 0,
            place.codec,
            place.depth,
            len(place.bases),
            place.params_size,
        )
        bases += b"".join(place.bases)
    header = HEADER.pack(MAGIC, VERSION, bits, 0, 1, len(names), len(bases) // NAME_SIZE)
    fanout = pack(f"<{len(counts) + 1}I", 0, *accumulate(counts))
    return write_parts(
        (header, PACK.pack(pack_id, pack_size), fanout, b"".join(names), entries, bases), idx_dir, tmp_dir
    )


def write_parts(parts: Iterable[fsio.Buffer], idx_dir: Path, tmp_dir: Path) -> Path:
    """Write the sections of an idx and its id, durably, under the name that the id gives; returns its path."""
    fsio.make_dirs(idx_dir)
    hasher = blake3()
    with fsio.DurableFile(tmp_dir) as out:
        for part in parts:
            hasher.update(part)
            out.write(part)
        identity = hasher.digest()
        out.write(identity)
        target = idx_dir / f"{identity.hex()}.idx"
        out.commit(target)
    return target
