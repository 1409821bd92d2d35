"""`fetch --include`: the chunks of files and tensors whose names match, of versions whose history is here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mvc.errors import MissingObject, MvcError, NotFound
from mvc.objects import trees
from mvc.objects.manifest import Manifest, ManifestSegment, is_manifest, parse
from mvc.objects.model import is_file
from mvc.progress import SILENT, Progress
from mvc.repo.chunks import open_chunks
from mvc.repo.repository import Repository
from mvc.repo.selection import Selection
from mvc.repo.tensors import chunk_refs
from mvc.sync.chunks import bring
from mvc.sync.remotes import Remote


@dataclass(frozen=True, slots=True)
class BroughtData:
    """What matched: files and tensors (of files that match as a whole none are counted), the bytes that these are, and
    the bytes that came."""

    files: int = 0
    tensors: int = 0
    size: int = 0
    moved: int = 0


def bring_matching(
    remote: Remote,
    commits: Collection[str],
    patterns: Sequence[str],
    *,
    jobs: int = 0,
    progress: Progress = SILENT,
) -> BroughtData:
    """Bring the chunks of what matches in the trees of `commits`: files by a pattern of gitignore(5), tensors by name,
    with `*` and `?`. Raises NotFound where nothing does, MissingObject where the remote lacks some of it."""
    found = list(_matching(remote.repo, commits, patterns))
    if not found:
        raise NotFound(f"no file and no tensor matches {' or '.join(patterns)}", hint="mvc show REV:PATH lists tensors")
    segments = [segment for _, chosen in found for segment in chosen]
    moved = _bring(remote, {ref.name for one in segments for ref in one.lists}, jobs, progress)
    chunks = open_chunks(remote.repo)
    moved += _bring(remote, {ref.name for one in segments for ref in chunk_refs(chunks, one)}, jobs, progress)
    whole = [manifest for manifest, chosen in found if len(chosen) == len(manifest.segments)]
    tensors = sum(len(chosen) for manifest, chosen in found if len(chosen) < len(manifest.segments))
    return BroughtData(len(whole), tensors, sum(segment.length for segment in segments), moved)


def _matching(
    repo: Repository, commits: Collection[str], patterns: Sequence[str]
) -> Iterator[tuple[Manifest, Sequence[ManifestSegment]]]:
    """The files in chunks of which something matches, each version once, with what does."""
    selection = Selection(patterns)
    seen: set[str] = set()
    for commit in commits:
        for path, item in trees.flatten(repo.objects, repo.objects.commit(commit).tree).items():
            if item.id in seen or not is_file(item.mode):
                continue
            seen.add(item.id)
            blob = repo.objects.blob(item.id)
            if not is_manifest(blob):
                continue
            manifest = parse(blob)
            chosen = manifest.segments if selection.wants(path) else _tensors(manifest, patterns)
            if chosen:
                yield manifest, chosen


def _tensors(manifest: Manifest, patterns: Sequence[str]) -> Sequence[ManifestSegment]:
    return [
        segment
        for segment in manifest.segments
        if segment.tensor is not None and any(fnmatchcase(segment.tensor.name, pattern) for pattern in patterns)
    ]


def _bring(remote: Remote, names: set[bytes], jobs: int, progress: Progress) -> int:
    if not names:
        return 0
    done = bring(remote, names, jobs=jobs, progress=progress)
    if done.lacking:
        raise _lacking(remote, done.lacking)
    return done.moved


def _lacking(remote: Remote, names: Collection[bytes]) -> MvcError:
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return MissingObject(
        f"{remote.backend.url} lacks chunk {min(names).hex()}{more}", hint="mvc whereis tells who has it"
    )
