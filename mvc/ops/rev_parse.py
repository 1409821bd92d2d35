"""`mvc rev-parse`: what the name of a revision stands for."""

from __future__ import annotations

from collections.abc import Sequence

from mvc.errors import NotFound
from mvc.objects import refnames
from mvc.objects.revparse import abbreviate, parse_range, resolve_ref, upstream_ref
from mvc.ops.named import object_named
from mvc.repo.repository import Repository


def rev_parse(repo: Repository, specs: Sequence[str], *, short: int | None = None) -> tuple[str, ...]:
    """The ids that `specs` name, in order; what a range leaves out begins with "^", as in Git.

    With `short`, prefixes of at least so many digits that name the object alone. Raises NotFound, AmbiguousName.
    """
    ids: list[str] = []
    for spec in specs:
        before, dots, _ = spec.partition("..")
        if spec.startswith("^") or (dots and ":" not in before):
            found = parse_range(repo.objects, repo.refs, spec)
            ids += [*found.include, *(f"^{left_out}" for left_out in found.exclude)]
        else:
            ids.append(object_named(repo, spec))
    if short is None:
        return tuple(ids)
    return tuple(_shortened(repo, one, short) for one in ids)


def _shortened(repo: Repository, one: str, digits: int) -> str:
    sign = "^" if one.startswith("^") else ""
    return sign + abbreviate(repo.objects, one.removeprefix("^"), digits)


def ref_names(repo: Repository, specs: Sequence[str], *, short: bool) -> tuple[str, ...]:
    """The full names of the refs that `specs` name, or their short ones. HEAD is its branch, or "HEAD" when detached.

    Raises NotFound for what is no ref.
    """
    return tuple(_ref_name(repo, spec, short) for spec in specs)


def _ref_name(repo: Repository, spec: str, short: bool) -> str:
    if spec in ("HEAD", "@"):
        name = repo.refs.head().branch or "HEAD"
    else:
        found = upstream_ref(repo.refs, spec) or resolve_ref(repo.refs, spec)
        if found is None:
            raise NotFound(f"'{spec}' is not the name of a ref", hint="mvc branch --all")
        name = found
    return refnames.short(name) if short else name
