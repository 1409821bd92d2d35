"""What changes refs. Called through the methods of `mvc.objects.refs.Refs`, which say what each does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from mvc import fsio
from mvc.errors import Locked, NotFound, RefChanged, Refused, UsageError
from mvc.objects import reflog, refnames
from mvc.objects.encoding import is_id
from mvc.objects.model import Signature
from mvc.objects.reffiles import dump_packed
from mvc.objects.reflog import Keep, ReflogEntry
from mvc.objects.refs import ANY, RefChange, Refs
from mvc.objects.reftransaction import Transaction, Why, is_logged, tidy


def update(
    refs: Refs, changes: Sequence[RefChange], *, message: str, author: Signature, head_follows: bool, wait: float
) -> None:
    """`Refs.update`."""
    _check(changes)
    branch = refs.symbolic("HEAD")
    wanted = [RefChange(branch, c.old, c.new) if c.ref == "HEAD" and branch else c for c in changes]
    wanted.sort(key=lambda change: change.ref)
    if len({change.ref for change in wanted}) != len(wanted):
        raise UsageError("one ref is to be moved twice")
    follows = head_follows and branch is not None and any(change.ref == branch for change in wanted)
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock(*["HEAD"][:follows], *(change.ref for change in wanted))
        if follows and refs.symbolic("HEAD") != branch:
            raise RefChanged("HEAD moved to another branch meanwhile", hint="repeat")
        if any(change.new is None for change in wanted):
            transaction.lock_packed()
        moves = transaction.compare(wanted)
        transaction.log(moves, Why(message, author), branch if follows else None)
        transaction.swap(moves)
    tidy(refs, [move.ref for move in moves if move.new is None])


def set_head(refs: Refs, target: str, *, message: str, author: Signature, wait: float) -> None:
    """`Refs.set_head`."""
    if not is_id(target) and not (target.startswith("refs/heads/") and refnames.is_valid(target)):
        raise UsageError(f"HEAD cannot be put on {target!r}")
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock("HEAD")
        old = refs.read("HEAD")
        new = target if is_id(target) else refs.read(target)
        if new is not None:
            reflog.append(refs.reflog_path("HEAD"), ReflogEntry(old, new, author, message))
        transaction.write(refs.path("HEAD"), _line(target if is_id(target) else f"ref: {target}"))


def set_symbolic(refs: Refs, ref: str, target: str | None, *, wait: float) -> None:
    """`Refs.set_symbolic`."""
    if target is not None:
        refnames.check(target)
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock(ref)
        if target is not None:
            transaction.write(refs.path(ref), _line(f"ref: {target}"))
        elif refs.symbolic(ref) is not None:
            fsio.unlink(refs.path(ref), missing_ok=True)
    if target is None:
        tidy(refs, [ref])


def write_pseudo(refs: Refs, name: str, value: str | None, *, wait: float) -> None:
    """`Refs.write_pseudo`."""
    if "/" in refnames.check(name) or name == "HEAD" or (value is not None and not is_id(value)):
        raise UsageError(f"{name} cannot be set to {value}")
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock(name)
        if value is None:
            fsio.unlink(refs.path(name), missing_ok=True)
        else:
            transaction.write(refs.path(name), _line(value))


def rename(refs: Refs, old: str, new: str, *, message: str, author: Signature, force: bool, wait: float) -> None:
    """`Refs.rename`."""
    value = refs.read(old)
    if value is None:
        if refs.symbolic("HEAD") != old:
            raise NotFound(f"there is no {refnames.short(old)}")
        # A branch without a commit is nothing but HEAD's word.
        set_head(refs, new, message=message, author=author, wait=wait)
        return
    if old == new:
        return
    if new.startswith(old + "/") or old.startswith(new + "/"):
        # One cannot stand beside the other: go through a third name.
        between = f"{'/'.join(old.split('/')[:2])}/mvc-rename-{value[:12]}"
        rename(refs, old, between, message=message, author=author, force=False, wait=wait)
        rename(refs, between, new, message=message, author=author, force=force, wait=wait)
        return
    standing = refs.read(new)
    if standing is not None and not force:
        raise Refused(f"{refnames.short(new)} exists already", hint="choose another name, or force it")
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock("HEAD", *sorted((old, new)))
        transaction.lock_packed()
        moves = transaction.compare([RefChange(old, value, None), RefChange(new, standing, value)])
        entry = ReflogEntry(value, value, author, message)
        _move_log(refs, old, new, entry)
        transaction.swap([move for move in moves if move.new is not None])
        if refs.symbolic("HEAD") == old:
            reflog.append(refs.reflog_path("HEAD"), entry)
            transaction.write(refs.path("HEAD"), _line(f"ref: {new}"))
        transaction.swap([RefChange(old, value, None)])
    tidy(refs, [old])


def _move_log(refs: Refs, old: str, new: str, entry: ReflogEntry) -> None:
    source, target = refs.reflog_path(old), refs.reflog_path(new)
    if source.is_file():
        fsio.make_dirs(target.parent)
        fsio.write_atomic(target, source.read_bytes() + reflog.dump(entry), tmp_dir=refs.tmp_dir)
    elif is_logged(new):
        reflog.append(target, entry)


def pack(refs: Refs, *, wait: float) -> int:
    """`Refs.pack`."""
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock_packed()
        loose: dict[str, str] = {}
        for name in refs.loose_names():
            content = refs.content(name)
            if content is not None and is_id(content) and refs.path(name).is_relative_to(refs.common_dir / "refs"):
                loose[name] = content
        if not loose:
            return 0
        transaction.write(refs.packed_path, dump_packed({**refs.packed(), **loose}))
        for name, value in loose.items():
            _prune_loose(refs, name, value)
    tidy(refs, list(loose))
    return len(loose)


def _prune_loose(refs: Refs, name: str, value: str) -> None:
    """Remove a loose ref whose value is packed now, unless it moved meanwhile."""
    with contextlib.suppress(Locked), Transaction(refs, wait=0) as transaction:
        transaction.lock(name)
        if refs.content(name) == value:
            fsio.unlink(refs.path(name), missing_ok=True)


def expire_log(refs: Refs, ref: str, keep: Keep, *, dry_run: bool, wait: float) -> int:
    """`Refs.expire_log`."""
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock(ref)
        return reflog.expire(refs.reflog_path(ref), keep, dry_run=dry_run)


def rewrite_log(refs: Refs, ref: str, change: Callable[[ReflogEntry], ReflogEntry | None], *, wait: float) -> int:
    """`Refs.rewrite_log`."""
    with Transaction(refs, wait=wait) as transaction:
        transaction.lock(ref)
        return reflog.rewrite(refs.reflog_path(ref), change)


def _line(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "surrogateescape")


def _check(changes: Sequence[RefChange]) -> None:
    for change in changes:
        refnames.check(change.ref)
        for value in (change.old, change.new):
            if value is not None and value != ANY and not is_id(value):
                raise UsageError(f"{value!r} is no object id")
        if change.new == ANY:
            raise UsageError(f"{change.ref} needs a new value")
