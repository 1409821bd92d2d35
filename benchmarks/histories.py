"""Long histories as streams for `git fast-import`: of commits with a small change each, with metadata or without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mvc.metadata.canonical import dumps
from mvc.metadata.values import nest

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


def _metadata(number: int, count: int) -> Iterator[bytes]:
    params = {
        "lr": 1e-5 * (1 + number % 7),
        "batch": 32,
        "epochs": 3,
        "optimizer.name": "adamw",
        "optimizer.beta1": 0.9,
        "seed": number,
    }
    progress = number / count
    metrics = {
        "loss": round(2 / (1 + 9 * progress), 6),
        "eval.accuracy": round(0.5 + 0.4 * progress, 6),
        "eval.f1": round(0.4 + 0.4 * progress, 6),
    }
    for name, values in (("params", params), ("metrics", metrics), ("environment", _ENVIRONMENT)):
        yield _file(f".mvcmeta/{name}.yaml", _yaml(values))


def _yaml(values: Mapping[str, object]) -> bytes:
    return dumps(nest(values)).encode()


def _file(path: str, data: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)
