"""What is left to do of a cherry-pick, revert or rebase that stopped, as files that Git would write too.

sequencer/{head,todo,opts,abort-safety}                       cherry-pick, revert
rebase-merge/{head-name,onto,orig-head,git-rebase-todo,...}   rebase
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mvc.errors import IntegrityError
from mvc.objects.encoding import is_id
from mvc.ops.three_way import Favour
from mvc.repo import inprogress
from mvc.repo.repository import Repository

_MOST_DIGITS = 9
_SHOWN = 60
_GIVE_UP = "mvc rebase --quit forgets it, and leaves HEAD where it is"


class Verb(Enum):
    """What is in progress; the value is what the user types."""

    CHERRY_PICK = "cherry-pick"
    REVERT = "revert"
    REBASE = "rebase"

    @property
    def folder(self) -> str:
        """Where its state lies."""
        return "rebase-merge" if self is Verb.REBASE else "sequencer"

    @property
    def todo(self) -> str:
        """The file with the steps that are left."""
        return f"{self.folder}/git-rebase-todo" if self is Verb.REBASE else f"{self.folder}/todo"

    @property
    def head_file(self) -> str:
        """The file that names the commit which is being applied."""
        return "REVERT_HEAD" if self is Verb.REVERT else "CHERRY_PICK_HEAD"


@dataclass(frozen=True, slots=True)
class Step:
    """A commit to apply, or with `undo` to apply backwards."""

    commit: str
    summary: str
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How steps are applied."""

    favour: Favour = Favour.NONE
    mainline: int | None = None
    """Number (from 1) of the parent that a merge is taken against."""
    note_origin: bool = False
    """`-x`: the message says where it was picked from."""
    keep_empty: bool = False
    """Commits that change nothing are made all the same."""
    drop_empty: bool = False
    """Commits whose change is there already are left out, without stopping."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run of steps that stopped at the first of `steps`.

    `start` is where HEAD was before the run: `--abort` goes back there. `now` is where mvc left
    HEAD: if it is elsewhere, the user has moved it. For a rebase `branch` is the full name of the
    branch (None: HEAD was detached), `onto` its new base.
    """

    verb: Verb
    start: str
    now: str
    steps: tuple[Step, ...]
    policy: Policy = field(default_factory=Policy)
    branch: str | None = None
    onto: str | None = None
    done: int = 0


def save(repo: Repository, unfinished: Unfinished) -> None:
    """Write the state, the todo last: what has no todo is no sequence in progress."""
    folder, policy = unfinished.verb.folder, unfinished.policy
    files = {f"{folder}/opts": _dump_policy(policy)}
    if unfinished.verb is Verb.REBASE:
        total = unfinished.done + len(unfinished.steps)
        files |= {
            f"{folder}/head-name": (unfinished.branch or "detached HEAD") + "\n",
            f"{folder}/onto": f"{unfinished.onto}\n",
            f"{folder}/orig-head": f"{unfinished.start}\n",
            f"{folder}/msgnum": f"{unfinished.done + 1}\n",
            f"{folder}/end": f"{total}\n",
            f"{folder}/stopped-sha": f"{unfinished.steps[0].commit}\n" if unfinished.steps else "\n",
            f"{folder}/interactive": "",
        }
    else:
        files[f"{folder}/head"] = f"{unfinished.start}\n"
    files[f"{folder}/abort-safety"] = f"{unfinished.now}\n"
    files[unfinished.verb.todo] = dump_todo(unfinished.steps)
    inprogress.write(repo, files)


def load(repo: Repository) -> Unfinished | None:
    """The sequence in progress, or None. Raises IntegrityError for state files that make no sense."""
    if (todo := inprogress.read(repo, Verb.REBASE.todo)) is not None:
        folder = Verb.REBASE.folder
        branch = _need(repo, f"{folder}/head-name")
        return Unfinished(
            verb=Verb.REBASE,
            start=_need(repo, f"{folder}/orig-head"),
            now=inprogress.read(repo, f"{folder}/abort-safety") or "",
            steps=parse_todo(todo),
            policy=_parse_policy(inprogress.read(repo, f"{folder}/opts") or ""),
            branch=branch if branch.startswith("refs/") else None,
            onto=_need(repo, f"{folder}/onto"),
            done=max(0, _number("msgnum", _need(repo, f"{folder}/msgnum")) - 1),
        )
    if (todo := inprogress.read(repo, Verb.CHERRY_PICK.todo)) is not None:
        steps = parse_todo(todo)
        return Unfinished(
            verb=Verb.REVERT if steps and steps[0].undo else Verb.CHERRY_PICK,
            start=_need(repo, "sequencer/head"),
            now=inprogress.read(repo, "sequencer/abort-safety") or "",
            steps=steps,
            policy=_parse_policy(inprogress.read(repo, "sequencer/opts") or ""),
        )
    return None


def forget(repo: Repository) -> None:
    """The sequence is over. (A folder goes in one step.)"""
    inprogress.clear(repo, Verb.REBASE.folder, Verb.CHERRY_PICK.folder)


def step_committed(repo: Repository) -> None:
    """The user has committed the step that stopped by `mvc commit`: a pick or revert of nothing else is over."""
    unfinished = load(repo)
    if unfinished is None or inprogress.read(repo, unfinished.verb.head_file) is None:
        return
    if unfinished.verb is not Verb.REBASE and len(unfinished.steps) <= 1:
        forget(repo)


def dump_todo(steps: Sequence[Step]) -> str:
    """The todo list, a line a step, as `git rebase -i` shows it."""
    return "".join(f"{'revert' if step.undo else 'pick'} {step.commit} {step.summary}\n" for step in steps)


def parse_todo(text: str) -> tuple[Step, ...]:
    """Raises IntegrityError for a line that is neither `pick` nor `revert`."""
    steps = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        commit, _, summary = rest.partition(" ")
        if word not in ("pick", "revert") or not is_id(commit):
            raise _makes_no_sense("list of steps", line)
        steps.append(Step(commit, summary, undo=word == "revert"))
    return tuple(steps)


def _dump_policy(policy: Policy) -> str:
    values: Mapping[str, object] = {
        "favour": policy.favour.value,
        "mainline": policy.mainline or "",
        "note-origin": int(policy.note_origin),
        "keep-empty": int(policy.keep_empty),
        "drop-empty": int(policy.drop_empty),
    }
    return "[options]\n" + "".join(f"\t{name} = {value}\n" for name, value in values.items())


def _parse_policy(text: str) -> Policy:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    favour, mainline = values.get("favour", ""), values.get("mainline", "")
    if favour not in (known.value for known in Favour):
        raise _makes_no_sense("opts", favour)
    return Policy(
        favour=Favour(favour),
        mainline=_number("opts", mainline) if mainline else None,
        note_origin=values.get("note-origin") == "1",
        keep_empty=values.get("keep-empty") == "1",
        drop_empty=values.get("drop-empty") == "1",
    )


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise _makes_no_sense(name, text)
    return int(text)


def _makes_no_sense(name: str, text: str) -> IntegrityError:
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return IntegrityError(f"the unfinished operation's {name} makes no sense: {shown!r}", hint=_GIVE_UP)


def _need(repo: Repository, name: str) -> str:
    text = inprogress.read(repo, name)
    if text is None:
        raise IntegrityError(f"the state of the unfinished operation lacks {name}", hint=_GIVE_UP)
    return text.strip()
