"""Long histories, of commits with a small change each: as streams for `git fast-import`, with metadata or without, and
committed one by one through the Python interface (`python -m benchmarks.histories FOLDER COUNT`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import mvc
from mvc.metadata.canonical import dumps
from mvc.metadata.values import flatten, nest

_ENVIRONMENT = {
    "python": "3.11.7",
    "platform": "Linux x86_64",
    "packages.torch": "2.4.0",
    "packages.numpy": "1.26.4",
    "code.commit": "0123456789abcdef0123456789abcdef01234567",
    "code.dirty": False,
    "command": "python train.py",
}


def stream(count: int, *, metadata: bool) -> bytes:
    """`count` commits on main. With `metadata`, each has params, metrics and an environment as mvc writes them."""
    parts: list[bytes] = []
    for number in range(count):
        text = f"step {number}\n".encode()
        who = f"bench <bench@example.org> {1_700_000_000 + 60 * number} +0000".encode()
        parts.append(b"commit refs/heads/main\ncommitter %s\ndata %d\n%s" % (who, len(text), text))
        parts.append(_file("notes.txt", text))
        if metadata:
            parts.extend(_metadata(number, count))
    return b"".join(parts)


def commit(folder: Path, count: int) -> None:
    """`count` commits on HEAD's branch of the repository in `folder`, as a script of a user would make them."""
    with mvc.Repo.open(folder) as repo:
        for number in range(count):
            (folder / "notes.txt").write_text(f"step {number}\n")
            repo.add(["notes.txt"])
            repo.commit(f"step {number}", params=_params(number), metrics=_metrics(number, count))


def _params(number: int) -> dict[str, object]:
    return {
        "lr": 1e-5 * (1 + number % 7),
        "batch": 32,
        "epochs": 3,
        "optimizer": {"name": "adamw", "beta1": 0.9},
        "seed": number,
    }


def _metrics(number: int, count: int) -> dict[str, object]:
    progress = number / count
    return {
        "loss": round(2 / (1 + 9 * progress), 6),
        "eval": {"accuracy": round(0.5 + 0.4 * progress, 6), "f1": round(0.4 + 0.4 * progress, 6)},
    }


def _metadata(number: int, count: int) -> Iterator[bytes]:
    parts = (("params", _params(number)), ("metrics", _metrics(number, count)), ("environment", nest(_ENVIRONMENT)))
    for name, groups in parts:
        yield _file(f".mvcmeta/{name}.yaml", _yaml(flatten(groups)))


def _yaml(values: Mapping[str, object]) -> bytes:
    return dumps(nest(values)).encode()


def _file(path: str, data: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)


if __name__ == "__main__":
    commit(Path(sys.argv[1]), int(sys.argv[2]))
