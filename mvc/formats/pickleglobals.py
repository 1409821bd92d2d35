"""Which classes and functions a file of pickles would load, without unpickling: nothing is imported or called.

The opcodes, by the tables of the standard library's `pickletools`, run on a stack that holds strings, globals and
unknowns. Each does what the tables say that it takes and leaves, so that no detour over POP, DUP or the memo hides
what STACK_GLOBAL finds. Arguments are not decoded where they need not be: what an unpickler might take and
`pickletools` refuses (text that is not ASCII) ends nothing here. A pickle that ends in rubbish has run up to there
when that is noticed: so it is with what is told here.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import re
from typing import Any, NamedTuple

from mvc.errors import MvcError, ParseError
from mvc.formats.joblibs import JOBLIB, Arrays
from mvc.formats.limits import Budget

UNKNOWN = "?"
"""A module or name that the pickle computes, so that it cannot be told from its bytes."""

_MARK = object()
_OTHER = object()
_OPCODES = {ord(one.code): one for one in pickletools.opcodes}
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
"""Bytes of the count before an argument."""
_TEXTS = {"BINSTRING": 4, "SHORT_BINSTRING": 1, "SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8}
"""Bytes of the count before a string."""
_GLOBALS = ("GLOBAL", "INST")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_EXTENSIONS = ("EXT1", "EXT2", "EXT4")
_CALLS = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"))
_IDENTIFIERS = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*|\?")
_BROKEN = (MvcError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


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
    arrays = Arrays(file) if JOBLIB in data else None
    machines = [_Machine()]
    pickles = 0
    while file.tell() < len(data):
        budget.spend()
        try:
            opcode, argument = _next(data, file)
            if (named := machines[-1].step(opcode.name, argument, opcode)) is not None:
                found.setdefault(named)
            if arrays is not None and arrays.step(opcode.name, _decoded(opcode, argument)):
                machines.append(_Machine())  # a pickle inside of this one
        except _BROKEN:
            return Scanned(tuple(found), pickles, False)
        if opcode.name == "STOP":
            machines.pop()
            pickles += not machines
            machines = machines or [_Machine()]
    whole = len(machines) == 1 and not machines[0].ran
    return Scanned(tuple(found), pickles, whole)


def may_be_pickle(head: bytes) -> bool:
    """Do these first bytes begin a binary pickle (protocol 2 and later)? Older ones are text, and begin as anything."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def may_be_called(head: bytes, size: int) -> bool:
    """Does a pickle of protocol 0 or 1 begin so, which calls something, or goes on behind `head`?

    As any text may begin so, opcodes are followed. `size`: bytes of the whole file.
    """
    machine, file = _Machine(), io.BytesIO(head)
    while file.tell() < len(head):
        try:
            opcode, argument = _next(head, file, size)
            if opcode.name == "INST" and _MARK not in machine.stack:
                return False
            named = machine.step(opcode.name, argument, opcode)
            if named is not None and not _IDENTIFIERS.fullmatch(named.module):
                return False
        except _BROKEN:
            return False
        if opcode.name in _CALLS:
            return True
        if opcode.name == "STOP":
            return False
    return size > len(head) > 0


def _next(data: bytes, file: io.BytesIO, size: int = 0) -> tuple[pickletools.OpcodeInfo, bytes]:
    """The opcode at the file's place, and the bytes of its argument, counts and line ends included.

    `size`: bytes of the file, where `data` is only its beginning."""
    at = file.tell()
    opcode = _OPCODES[data[at]]
    at += 1
    if opcode.arg is None:
        end = at
    elif opcode.arg.n >= 0:
        end = at + opcode.arg.n
    elif opcode.arg.n == pickletools.UP_TO_NEWLINE:
        file.seek(at)
        lines = [file.readline() for _ in range(2 if opcode.name in _GLOBALS else 1)]
        # A last line without an end loses its last byte to the unpickler in Python; that in C refuses it.
        return opcode, b"".join(line[:-1] + b"\n" for line in lines)
    else:
        count = _COUNTED[opcode.arg.n]
        end = at + count + int.from_bytes(data[at : at + count], "little")
    if end > max(len(data), size):
        raise ParseError("a pickle that ends too early")
    file.seek(end)
    return opcode, data[at:end]


def _decoded(opcode: pickletools.OpcodeInfo, argument: bytes) -> Any:
    return opcode.arg.reader(io.BytesIO(argument)) if opcode.arg is not None else None


class _Machine:
    """The stack and the memo of a pickle, of which only strings and marks matter."""

    __slots__ = ("memo", "ran", "stack")

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.ran = False

    def step(self, name: str, argument: bytes, opcode: pickletools.OpcodeInfo) -> Named | None:
        """Run an opcode; returns what it loads."""
        self.ran = True
        stack = self.stack
        if name in _TEXTS or name in ("UNICODE", "STRING"):
            stack.append(_string(name, argument))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _PUTS:
            self.memo[_index(name, argument)] = stack[-1]
        elif name in _GETS:
            # What was never put there stops a real unpickler, too.
            stack.append(self.memo[_index(name, argument)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_OTHER)
            return Named(_text(module), _text(attribute))
        elif name in _GLOBALS:
            if name == "INST" and _MARK in stack:  # else it is loaded, and then found that there is no mark
                self._to_mark()
            stack.append(_OTHER)
            module, attribute = argument.decode("utf-8", "backslashreplace").split("\n")[:2]
            return Named(module, attribute)
        elif name in _EXTENSIONS:
            # A number that copyreg maps to anything at all.
            stack.append(_OTHER)
            return Named("copyreg", f"extension {int.from_bytes(argument, 'little', signed=name == 'EXT4')}")
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._other(opcode)
        return None

    def _other(self, opcode: pickletools.OpcodeInfo) -> None:
        takes = opcode.stack_before
        if pickletools.markobject in takes:
            self._to_mark()
            takes = takes[: takes.index(pickletools.markobject)]
        for _ in takes:
            self.stack.pop()
        self.stack.extend(_OTHER for _ in opcode.stack_after)

    def _to_mark(self) -> None:
        while self.stack.pop() is not _MARK:
            pass


def _string(name: str, argument: bytes) -> object:
    """A string as the unpickler reads it; of one that it may read in several ways, none."""
    try:
        if name == "STRING":
            return codecs.escape_decode(argument.strip()[1:-1])[0].decode("ascii")
        if name == "UNICODE":
            return argument[:-1].decode("raw-unicode-escape")
        raw = argument[_TEXTS[name] :]
        return raw.decode(
            "ascii" if name.endswith("BINSTRING") else "utf-8",
            "strict" if name.endswith("BINSTRING") else "surrogatepass",
        )
    except ValueError:
        return _OTHER


def _index(name: str, argument: bytes) -> int:
    return int(argument) if name in ("PUT", "GET") else int.from_bytes(argument, "little")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else UNKNOWN
