"""Makes the golden files of this folder: a pack and its idx, of format version 1.

    python -m tests.store.make_golden

Not run by the tests, which hold what the code writes and reads against the files as they were made.
Run it only for a new version of a format, and keep the old files.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mvc.codecs.base import Base
from mvc.codecs.encode import encode
from mvc.hashing import digest
from tests.store.making import chunk, idx_files, open_store, pack_files

GOLDEN = Path(__file__).parent / "golden"


def numbers(step: int) -> bytes:
    """Some BF16 numbers, near to those of another step."""
    return b"".join((0x3C00 + 37 * n % 251 + (step if n % 9 == 0 else 0)).to_bytes(2, "little") for n in range(2000))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        with store.intend("golden") as intent, store.writer(intent) as writer:
            for raw in (b"", b"a small chunk", chunk(1, 300), b"text that repeats itself, " * 40):
                writer.add(digest(raw), encode(raw), raw_size=len(raw))
            base = numbers(0)
            writer.add(digest(base), encode(base, "BF16"), raw_size=len(base))
            for step in (1, 2):
                raw = numbers(step)
                encoded = encode(raw, "BF16", (Base("same", base),))
                writer.add(digest(raw), encoded, raw_size=len(raw), bases=(digest(base),), depth=step)
                base = raw
        for path in (*pack_files(store), *idx_files(store)):
            shutil.copyfile(path, GOLDEN / path.name)


if __name__ == "__main__":
    main()
