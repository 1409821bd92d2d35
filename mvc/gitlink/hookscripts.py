"""The hooks that mvc puts into a Git project: small POSIX scripts that find mvc, whatever became of it.

A hook that stood there before is put beside ours (`NAME.before-mvc`) and runs first, with the same arguments and
the same stdin; its exit code counts.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import NamedTuple

MARK = b"# mvc: written by `mvc hooks install`"
"""The second line of each begins so."""
BEFORE = ".before-mvc"
"""Behind the name of a hook that stood there before."""

HOOKS = {
    "post-checkout": "models follow git checkout, switch, worktree add",
    "post-merge": "models follow git merge, pull",
    "post-rewrite": "models follow git rebase, pull --rebase",
    "pre-commit": "no raw weights and no unsafe pickles get into Git",
    "pre-push": "models go to their remote before the commits that need them",
}
"""What each is for."""

_LACKING = {
    "pre-commit": "what is committed was not looked at",
    "pre-push": "the models that these commits need were not pushed: mvc push, where mvc is",
}
_WITH_INPUT = ("post-rewrite", "pre-push")


class Program(NamedTuple):
    """How mvc is run: the interpreter that ran `install`, and mvc's own `__main__.py`, by which it is seen that mvc is
    still there. Both absolute."""

    python: str
    main: str


def script(name: str, program: Program, *, shared: bool) -> bytes:
    """The script of the hook `name`. `shared`: its folder serves other repositories, too, so that it first looks
    whether this one has anything to do with mvc."""
    lines = [
        "#!/bin/sh",
        f"{MARK.decode()}, taken out by `mvc hooks uninstall`; docs/commands/hooks.md",
        "here=.",
        "case $0 in */*) here=${0%/*} ;; esac",
        f"before=$here/{name}{BEFORE}",
        "code=0",
    ]
    after = "|| code=$?" if name.startswith("post-") else "|| exit $?"
    if name in _WITH_INPUT:
        # By the shell alone: a graphical client may start git with no path, and then there is no `cat`.
        lines.append("input=$(while IFS= read -r line; do printf '%s\\n' \"$line\"; done)")
        lines.append('feed() { [ -z "$input" ] || printf \'%s\\n\' "$input"; }')
        earlier = f'feed | "$before" "$@" {after}'
    else:
        earlier = f'"$before" "$@" {after}'
    lines += [
        'if [ -f "$before" ] && [ -x "$before" ]; then',
        f"    {earlier}",
        "fi",
        "case ${MVC_SKIP_HOOKS:-0} in 0 | no | false) ;; *) exit $code ;; esac",
    ]
    if shared:
        lines += [
            "# Other repositories have this folder for their hooks, too: nothing of mvc, nothing to do.",
            "[ -e .mvc ] || [ -e mvc.lock ] || [ -e mvc.yaml ] ||",
            "    [ -n \"$(git ls-files -- '*/mvc.lock' 2>/dev/null)\" ] || exit $code",
        ]
    lines += [
        f'set -- hooks run {name} -- "$@"',
        f"if [ -x {_quoted(program.python)} ] && [ -f {_quoted(program.main)} ]; then",
        f'    set -- {_quoted(program.python)} -P -m mvc "$@"',
        "elif command -v mvc >/dev/null 2>&1; then",
        '    set -- mvc "$@"',
        "else",
        f"    echo {_quoted(f'mvc is not here: {_lacking(name)}')} >&2",
        "    exit $code",
        "fi",
    ]
    if name.startswith("post-"):
        lines += [f'{"feed | " if name in _WITH_INPUT else ""}"$@"', "exit $code"]
    else:
        lines.append('feed | "$@"' if name in _WITH_INPUT else 'exec "$@"')
    return os.fsencode("\n".join(lines) + "\n")


def is_ours(data: bytes) -> bool:
    """Is this a hook that `script` made, now or formerly?"""
    lines = data.split(b"\n", 2)
    return len(lines) > 1 and lines[1].startswith(MARK)


def merge_driver(program: Program) -> str:
    """The command of the merge driver, for Git's config: mvc if it is there, else a plain merge of lines."""
    both = f"[ -x {_quoted(program.python)} ] && [ -f {_quoted(program.main)} ]"
    ours = f"{_quoted(program.python)} -P -m mvc".replace("%", "%%")
    arguments = "hooks merge-lock -- %O %A %B %P"
    plain = "git merge-file -L ours -L base -L theirs %A %O %B"
    return (
        f"if {both.replace('%', '%%')}; then {ours} {arguments}; "
        f"elif command -v mvc >/dev/null 2>&1; then mvc {arguments}; else {plain}; fi"
    )


def this_program(executable: str, package: Path) -> Program:
    """How the mvc in the folder `package` is run by the interpreter `executable`."""
    return Program(executable, os.fspath(package / "__main__.py"))


def _lacking(name: str) -> str:
    return _LACKING.get(name, "models did not follow this step of Git (mvc hooks sync, where mvc is)")


def _quoted(text: str) -> str:
    return shlex.quote(text)
