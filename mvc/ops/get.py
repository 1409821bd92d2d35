"""`mvc get`: one verified version into a folder, without a clone and without a store.

The folder gets the version's files, and nothing of what it holds else is touched. What is right already stays, what
was cut goes on, what an older version has in common is taken from it. With `atomic` a version is prepared in a folder
of its own, and then a link is turned to it in one step.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mvc import fsio
from mvc.errors import FileChanged, MvcError, NoSpace, NotFound, Refused, WouldOverwrite
from mvc.hashing import chunk_namer, digest
from mvc.objects.model import TreeItem, is_link
from mvc.ops.address import Address
from mvc.ops.get_files import Wanted, check_names, select, weigh
from mvc.ops.get_home import check_target, clock, hide, tidy
from mvc.ops.get_link import VERSIONS, prune, turn, version_of
from mvc.ops.get_pieces import Pieces
from mvc.ops.get_standing import clashes, holds_wanted, in_the_way, mode_fits, on_the_way, twin
from mvc.ops.get_write import PARTIAL, Writer, remove_partials, sync_file, sync_folders
from mvc.ops.receipt import HOME, Noted, Receipt, read_receipt, write_receipt
from mvc.progress import SILENT, Progress
from mvc.repo.folders import Folders
from mvc.repo.place import Placer
from mvc.repo.stage import is_fresh, stat_of
from mvc.store.locks import hold
from mvc.sync.view import View

Status = Literal["written", "linked", "kept", "removed"]
_SPARE = 1024 * 1024
_TICK = 0.05
"""Seconds after which a file system's clock has moved on: the stat of what was put down can be trusted then."""


@dataclass(frozen=True, slots=True)
class GetOptions:
    """`include`, `exclude`: pathspecs. `keep`: how many versions beside the newest stay, with `atomic`."""

    atomic: bool = False
    keep: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    jobs: int = 0
    force: bool = False
    """Replace files that are in the way and did not come by `get`."""
    verify: bool = False
    """Read each file that stands, also where its stat says that it did not change."""
    wait: float = 0.0
    """Seconds to wait for another `get` into the same folder."""


@dataclass(frozen=True, slots=True)
class GotFile:
    """`size` in bytes. "linked": taken as it stands from the version that was there before."""

    path: str
    size: int
    status: Status


@dataclass(frozen=True, slots=True)
class Got:
    """What was done. `folder` holds the version: with `atomic` the one that the link leads to now."""

    url: str
    commit: str
    folder: Path
    changed: bool
    files: tuple[GotFile, ...]
    moved: int
    """Bytes that came from the remote, history and idx included."""
    reused: int
    """Bytes that were taken from files which stood here."""

    @property
    def size(self) -> int:
        """Bytes of the version's files."""
        return sum(one.size for one in self.files if one.status != "removed")


@dataclass(slots=True)
class _Plan:
    """What is to be done in a folder."""

    items: dict[str, TreeItem]
    keep: dict[str, os.stat_result]
    link: list[str]
    write: list[str]
    remove: list[str]


def get(
    view: View, address: Address, target: Path, options: GetOptions | None = None, *, progress: Progress = SILENT
) -> Got:
    """Make the folder `target` hold what `address` names.

    Nothing is written before it is known that all names are safe, nothing of others is in the way, and that it fits.
    Raises NotFound, WouldOverwrite, UnsafePath, NoSpace, Locked, Refused, IntegrityError, NetworkError, AuthError.
    """
    options = options or GetOptions()
    commit = view.resolve(address.revision)
    items = select(view, commit, address.path, options.include, options.exclude)
    check_names(items, fold=False)
    if not items and (options.include or options.exclude):
        raise NotFound("--include and --exclude leave nothing to get")
    run = _Get(view, commit, items, _selection(address, options), options, progress)
    return run.atomic(target) if options.atomic else run.plain(target)


class _Get:
    def __init__(
        self,
        view: View,
        commit: str,
        items: dict[str, TreeItem],
        selection: str,
        options: GetOptions,
        progress: Progress,
    ) -> None:
        self._view, self._commit, self._items = view, commit, items
        self._selection, self._options, self._progress = selection, options, progress
        self._namer = chunk_namer(view.naming)

    def plain(self, target: Path) -> Got:
        if target.is_symlink() and (target.parent / (target.name + VERSIONS)).is_dir():
            raise Refused(f"'{target}' is a link that 'get --atomic' made", hint="mvc get --atomic")
        check_target(target)
        with hold(target / HOME / "get.lock", what="get", wait=self._options.wait):
            return self._fill(target, [])

    def atomic(self, link: Path) -> Got:
        """Fill the version's own folder, then turn the link."""
        if os.path.lexists(link) and not link.is_symlink():
            raise Refused(
                f"'{link}' is no link: --atomic turns a link to a folder", hint=f"move it away: mv {link} {link}.old"
            )
        versions = link.parent / (link.name + VERSIONS)
        name = self._commit[:12] + (f"-{self._selection[:8]}" if self._selection else "")
        with hold(versions / "get.lock", what="get", wait=self._options.wait):
            before = version_of(link, versions)
            others = sorted(
                (one for one in versions.iterdir() if one.name != name and (one / HOME / "receipt").is_file()),
                key=lambda one: (one != before, one.name),
            )
            done = self._fill(versions / name, others[:2])
            turned = before != versions / name
            if turned:
                turn(link, f"{versions.name}/{name}")
            prune(versions, {name}, self._options.keep, link)
        return replace(done, changed=done.changed or turned)

    # ---- one folder

    def _fill(self, folder: Path, others: list[Path]) -> Got:
        fsio.make_dirs(folder / HOME)
        hide(folder)
        fold = os.path.lexists(folder / HOME.upper())
        check_names(self._items, fold=fold)
        old = read_receipt(folder)
        siblings = [(one, read_receipt(one)) for one in others]
        with ExitStack() as stack:
            placer = stack.enter_context(Placer(folder, force=True, roomy=True))
            tidy(placer, self._items)
            plan = self._look(placer, old, siblings)
            if not plan.write and not plan.link and not plan.remove:
                return self._settle(folder, old, plan, 0)
            self._journal(folder, old)
            self._link(folder, placer, plan, siblings)
            wanted = weigh(self._view, {path: plan.items[path] for path in plan.write})
            self._check_room(folder, wanted)
            pieces = Pieces(self._namer)
            stack.callback(pieces.close)
            if any(one.blake3 is not None for one in wanted.values()):
                for place, receipt in [(folder, old), *siblings]:
                    pieces.add(self._view, place, receipt, sorted(receipt.files))
            # What stands where a folder or file is to be goes first; all else only when the new ones are there.
            first = [path for path in plan.remove if clashes(path, self._items)]
            for path in first:
                placer.remove(path)
            self._progress.begin("getting", sum(one.size for one in wanted.values()))
            try:
                self._write(placer, wanted, pieces)
            finally:
                self._progress.end()
            for path in plan.remove:
                placer.remove(path)
            return self._settle(folder, old, plan, pieces.reused)

    def _look(self, placer: Placer, old: Receipt, siblings: list[tuple[Path, Receipt]]) -> _Plan:
        """What stands, and what is to be done. Raises WouldOverwrite."""
        plan = _Plan(self._items, {}, [], [], [])
        unsure: list[str] = []
        for path, item in self._items.items():
            found = placer.lstat(path)
            if found is None:
                plan.write.append(path)
            elif not self._options.verify and old.vouches(path, item, found) and mode_fits(found, item):
                plan.keep[path] = found
            else:
                unsure.append(path)
        known = weigh(self._view, {path: self._items[path] for path in unsure})
        with ThreadPoolExecutor(self._jobs) as pool:
            for path, same in zip(
                unsure, pool.map(lambda path: holds_wanted(placer, path, known[path]), unsure), strict=True
            ):
                found = placer.lstat(path)
                if same and found is not None:
                    plan.keep[path] = found
                else:
                    plan.write.append(path)
        standing = set(unsure)
        blocked = [one for path in plan.write if path in standing for one in in_the_way(placer, path, old)]
        blocked += on_the_way(placer, plan.write, old)
        if blocked and not self._options.force:
            raise WouldOverwrite(
                f"'{blocked[0]}' stands in the way and did not come by mvc get",
                paths=blocked,
                hint="--force replaces it",
            )
        plan.link = [path for path in plan.write if twin(siblings, path, self._items[path]) is not None]
        linked = set(plan.link)
        plan.write = [path for path in plan.write if path not in linked]
        gone = {path: noted for path, noted in old.files.items() if path not in self._items}
        plan.remove = [path for path, noted in gone.items() if self._is_ours(placer, path, noted, old)]
        return plan

    def _is_ours(self, placer: Placer, path: str, noted: Noted, receipt: Receipt) -> bool:
        """Whether a file that the version has no more is as it was put there: then it may go."""
        found = placer.lstat(path)
        if found is None:
            return False
        if receipt.vouches(path, noted.item, found):
            return True
        try:
            return holds_wanted(placer, path, weigh(self._view, {path: noted.item})[path])
        except MvcError:  # of a version that is not there any more
            return False

    @property
    def _jobs(self) -> int:
        return self._options.jobs or self._view.jobs

    def _check_room(self, folder: Path, wanted: Mapping[str, Wanted]) -> None:
        """Raises NoSpace. What is replaced is not counted on: whoever has it open keeps it."""
        begun = 0
        with suppress(OSError):
            begun = sum(one.stat().st_blocks * 512 for one in (folder / PARTIAL).iterdir())
        needed = max(0, sum(one.size for one in wanted.values()) - begun) + _SPARE
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise NoSpace(
                f"{needed:,} bytes are needed in '{folder}', {free:,} are free",
                hint="free some space, or --include less",
            )

    def _journal(self, folder: Path, old: Receipt) -> None:
        """Say which files are about to come by us, so that a repeat knows them for ours."""
        coming = {path: Noted(item, 0) for path, item in self._items.items() if path not in old.files}
        if old.complete or coming:
            write_receipt(folder, replace(old, complete=False, files={**old.files, **coming}))

    def _link(self, folder: Path, placer: Placer, plan: _Plan, siblings: list[tuple[Path, Receipt]]) -> None:
        """Give files of an older version that did not change a name here, too; what cannot be is to be written."""
        for path in plan.link.copy():
            source = twin(siblings, path, self._items[path])
            try:
                if source is None:
                    raise FileNotFoundError
                with placer.folders.lock:
                    placer.folders.make(path.rpartition("/")[0], force=True)
                placer.remove(path, keep_folders=True)
                fsio.link(source, folder / path)
            except OSError:
                plan.link.remove(path)
                plan.write.append(path)

    def _write(self, placer: Placer, wanted: Mapping[str, Wanted], pieces: Pieces) -> None:
        small = [path for path, one in wanted.items() if one.blake3 is None]
        for path in small:
            item, size, _ = wanted[path]
            placer.small(path, self._view.objects.blob(item.id), item.mode)
            self._progress.advance(size)
        with ThreadPoolExecutor(self._jobs) as pool:
            files = [path for path in small if not is_link(wanted[path].item.mode)]
            list(pool.map(lambda path: sync_file(placer.folders, path), files))
        large = {path: one for path, one in wanted.items() if one.blake3 is not None}
        if large:
            writer = Writer(self._view, placer.folders, pieces, self._jobs, self._progress)
            for _ in writer.run(large):
                pass

    def _settle(self, folder: Path, old: Receipt, plan: _Plan, reused: int) -> Got:
        """Note how everything stands now; what was changed is made durable before."""
        touched = [*plan.write, *plan.link, *plan.remove]
        if touched:
            sync_folders(folder, touched)
            time.sleep(_TICK)
        now = clock(folder)
        files: dict[str, Noted] = {}
        with Folders(folder) as folders:
            for path, item in self._items.items():
                found = folders.lstat(path)
                if found is None:
                    raise FileChanged(f"'{path}' was removed while it was looked at")
                fresh = is_fresh(stat_of(found), now)
                files[path] = Noted(item, found.st_size, found.st_mtime_ns, 0 if fresh else found.st_ino)
            new = Receipt(self._view.url, self._commit, self._selection, True, files)
            if new != old:
                write_receipt(folder, new)
            remove_partials(folders)
        rows = [GotFile(path, files[path].size, _status(plan, path)) for path in self._items]
        rows += [GotFile(path, old.files[path].size, "removed") for path in plan.remove]
        return Got(self._view.url, self._commit, folder, bool(touched), tuple(rows), self._view.moved, reused)


def _selection(address: Address, options: GetOptions) -> str:
    """The same text for the same question: "" for all of a version."""
    if not address.path and not options.include and not options.exclude:
        return ""
    question = repr((address.path or "", sorted(options.include), sorted(options.exclude)))
    return digest(question.encode("utf-8", "surrogateescape")).hex()[:32]


def _status(plan: _Plan, path: str) -> Status:
    return "kept" if path in plan.keep else "linked" if path in plan.link else "written"
