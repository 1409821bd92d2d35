"""Which classes and functions a file of pickles would load, without unpickling: nothing is imported or called.

The opcodes are decoded by the standard library's `pickletools`, which only reads, and run on a stack that holds
strings, globals and unknowns. Every opcode does what `pickletools` says that it takes and leaves, so that no detour
over POP, DUP or the memo hides what STACK_GLOBAL finds (the ways around picklescan: CVE-2025-1716, -1889, -46417).
A pickle that ends in rubbish has run up to there when that is noticed: so it is with what is told here.
"""

from __future__ import annotations

import io
import pickletools
from typing import Any, NamedTuple

from mvc.errors import MvcError
from mvc.formats.joblibs import JOBLIB, Arrays
from mvc.formats.limits import Budget

UNKNOWN = "?"
"""A module or name that the pickle computes, so that it cannot be told from its bytes."""

_MARK = object()
_OTHER = object()
_STRINGS = frozenset(
    (
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
    )
)
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_EXTENSIONS = frozenset(("EXT1", "EXT2", "EXT4"))


class Named(NamedTuple):
    """A class or function: `os`, `system`."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Scanned(NamedTuple):
    """What was found, each once, in order."""

    globals: tuple[Named, ...]
    pickles: int
    """How many came to their end."""
    whole: bool
    """False: behind them, or at once, came what is no pickle."""


def scan(data: bytes, budget: Budget) -> Scanned:
    """All that the pickles in `data`, one behind the other, would load. `budget` counts opcodes: raises ParseError
    where they are too many.

    joblib puts arrays between the opcodes of its pickles, and pickles between those of arrays of objects: followed.
    """
    found: dict[Named, None] = {}
    file = io.BytesIO(data)
    pickles = 0
    arrays = Arrays(file) if JOBLIB in data else None
    outer: list[_Machine] = []
    while file.tell() < len(data):
        machine = outer.pop() if outer else _Machine()
        try:
            for opcode, argument, _ in pickletools.genops(file):
                budget.spend()
                if (named := machine.step(opcode, argument)) is not None:
                    found.setdefault(named)
                if arrays is not None and arrays.step(opcode.name, argument):
                    outer += [machine, _Machine()]  # a pickle inside of this one
                    break
            else:
                pickles += 1
        except (MvcError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            budget.spend(0)  # too many opcodes are told as such
            return Scanned(tuple(found), pickles, False)
    return Scanned(tuple(found), pickles, not outer)


def may_be_pickle(head: bytes) -> bool:
    """Do these first bytes begin a binary pickle (protocol 2 and later)? Older ones are text, and begin as anything."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


class _Machine:
    """The stack and the memo of a pickle, of which only strings and marks matter."""

    __slots__ = ("memo", "stack")

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> Named | None:
        """Run an opcode; returns what it loads."""
        name, stack = opcode.name, self.stack
        if name in _STRINGS:
            stack.append(argument if isinstance(argument, str) else _OTHER)
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _PUTS:
            self.memo[int(argument)] = stack[-1]
        elif name in _GETS:
            # What was never put there stops a real unpickler, too.
            stack.append(self.memo[int(argument)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_OTHER)
            return Named(_text(module), _text(attribute))
        elif name in ("GLOBAL", "INST"):
            if name == "INST":
                self._to_mark()
            stack.append(_OTHER)
            module, _, attribute = str(argument).partition(" ")
            return Named(module, attribute)
        elif name in _EXTENSIONS:
            # A number that copyreg maps to anything at all.
            stack.append(_OTHER)
            return Named("copyreg", f"extension {argument}")
        else:
            self._other(opcode)
        return None

    def _other(self, opcode: pickletools.OpcodeInfo) -> None:
        if opcode.name in ("POP", "PROTO", "FRAME", "STOP"):
            if opcode.name == "POP" and self.stack:
                self.stack.pop()
            return
        takes, leaves = opcode.stack_before, opcode.stack_after
        if pickletools.markobject in takes:
            self._to_mark()
            takes = takes[: takes.index(pickletools.markobject)]
        for _ in takes:
            self.stack.pop()
        self.stack.extend(_OTHER for _ in leaves)

    def _to_mark(self) -> None:
        while self.stack.pop() is not _MARK:
            pass


def _text(value: Any) -> str:
    return value if isinstance(value, str) else UNKNOWN
