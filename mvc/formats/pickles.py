"""What a pickle would build, without building it: nothing is imported, called or executed.

The opcodes (decoded by the standard library's `pickletools`, which only reads) drive a small
machine whose objects are inert stand-ins. What it knows of PyTorch is how a tensor is put together
from a storage: `torch/_utils.py` (`_rebuild_*`) and `torch/serialization.py` (`persistent_id`) in
https://github.com/pytorch/pytorch. Everything else that is called becomes an `Inert` that keeps
its arguments, so that tensors in them are still found.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mvc.errors import ParseError
from mvc.formats.limits import MAX_DIMENSION, MAX_DIMENSIONS, Budget


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that the pickle names."""

    module: str
    name: str


class Pairs(list[Any]):
    """A dict: keys and values in turns. Not a dict, since hashing a hostile key could exhaust the C stack."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Inert:
    """An object of a kind that is not known here, with what it was made of: arguments, items, state."""

    made_by: Any
    parts: list[Any]
    state: Any = None


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers that lies in its own zip entry. `dtype` is None when the tensor tells it."""

    key: str
    dtype: str | None


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A tensor: a strided view of a storage. Offsets and strides count elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
    "QInt8Storage": "I8",
    "QUInt8Storage": "U8",
    "QInt32Storage": "I32",
}

_DTYPES = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "complex64": "C64",
    "complex128": "C128",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}

_TENSORS = {
    Global("torch._utils", name)
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor")
}
_PARAMETERS = {Global("torch._utils", name) for name in ("_rebuild_parameter", "_rebuild_parameter_with_state")}
_FROM_TYPE = Global("torch._tensor", "_rebuild_from_type_v2")
_DICTS = {Global("collections", "OrderedDict"), Global("collections", "defaultdict"), Global("builtins", "dict")}
_SIZE = Global("torch", "Size")

_OPAQUE = Inert(None, [])
"""Stands for a value that is of no use here."""


def walk(data: bytes, budget: Budget) -> Any:
    """What the pickle in `data` would build, as stand-ins; numbers, strings, lists and tuples are themselves.

    Raises ParseError for what is no pickle, or too long a one (`budget` counts opcodes).
    """
    machine = Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            budget.spend()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ParseError(f"a pickle that cannot be followed: {error!r:.200}") from error
    return machine.result


class Machine:
    """The stack, the marks and the memo of a pickle."""

    __slots__ = ("marks", "memo", "result", "stack")

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHES:
            self.stack.append(argument)
        else:
            _STEPS[name](self, argument)

    def push(self, value: Any) -> None:
        """Onto the stack as it is when the value is known: popping a mark changes which stack that is."""
        self.stack.append(value)

    def above_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.above_mark()

    def put(self, key: Any) -> None:
        self.memo[int(key)] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, key: Any) -> None:
        self.stack.append(self.memo[int(key)])

    def push_long(self, value: Any) -> None:
        self.stack.append(value if value.bit_length() <= 64 else _OPAQUE)

    def take(self, count: int) -> tuple[Any, ...]:
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise ParseError("a pickle that takes from an empty stack")
        del self.stack[-count:]
        return items

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            if target is not _OPAQUE:
                target.parts.extend(items)
        elif type(target) is list:
            target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Pairs):
            target.extend(items)
        elif isinstance(target, Inert) and target is not _OPAQUE:
            target.parts.append(Pairs(items))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Inert) and target is not _OPAQUE:
            target.state = state

    def reduce(self, _: Any) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], arguments)

    def new_with_keywords(self, _: Any) -> None:
        made_by, arguments, keywords = self.take(3)
        self.stack.append(Inert(made_by, [arguments, keywords]))

    def named(self, argument: Any) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Global(module, name))

    def named_on_stack(self, _: Any) -> None:
        module, name = self.take(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ParseError("a pickle that names a class by no string")
        self.stack.append(Global(module, name))

    def instance(self, argument: Any) -> None:
        module, _, name = argument.partition(" ")
        self.push(_call(Global(module, name), tuple(self.above_mark())))

    def object(self, _: Any) -> None:
        made_by, *arguments = self.above_mark()
        self.push(_call(made_by, tuple(arguments)))

    def persistent(self, _: Any) -> None:
        self.stack[-1] = _storage(self.stack[-1])

    def stop(self, _: Any) -> None:
        self.result = self.stack.pop()


_PUSHES = frozenset(
    (
        "NONE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
    )
)

_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "STOP": Machine.stop,
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": lambda machine, _: machine.above_mark().clear(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "LONG": Machine.push_long,
    "LONG1": Machine.push_long,
    "LONG4": Machine.push_long,
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.above_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.above_mark()),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "ADDITEMS": lambda machine, _: machine.extend(machine.above_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.above_mark()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.above_mark())),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "EMPTY_DICT": lambda machine, _: machine.push(Pairs()),
    "DICT": lambda machine, _: machine.push(Pairs(machine.above_mark())),
    "SETITEM": lambda machine, _: machine.set_items(list(machine.take(2))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.above_mark()),
    "GLOBAL": Machine.named,
    "STACK_GLOBAL": Machine.named_on_stack,
    "INST": Machine.instance,
    "OBJ": Machine.object,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": Machine.new_with_keywords,
    "BUILD": Machine.build,
    "GET": Machine.get,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "PUT": Machine.put,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": Machine.memoize,
    "PERSID": lambda machine, _: machine.push(_OPAQUE),
    "BINPERSID": Machine.persistent,
    "EXT1": lambda machine, _: machine.push(_OPAQUE),
    "EXT2": lambda machine, _: machine.push(_OPAQUE),
    "EXT4": lambda machine, _: machine.push(_OPAQUE),
    "NEXT_BUFFER": lambda machine, _: machine.push(_OPAQUE),
    "READONLY_BUFFER": lambda machine, _: None,
}


def _call(made_by: Any, arguments: Any) -> Any:
    """The stand-in for what calling `made_by` would give."""
    if isinstance(made_by, Global) and isinstance(arguments, tuple):
        if made_by == _FROM_TYPE and len(arguments) > 2 and isinstance(arguments[0], Global):
            made_by, arguments = arguments[0], arguments[2]
            if type(arguments) is not tuple:
                return _OPAQUE
        if made_by in _TENSORS:
            view = _view(arguments)
            return Inert(made_by, list(arguments)) if view is None else view
        if made_by in _PARAMETERS and arguments:
            return arguments[0]
        if made_by in _DICTS:
            return _dict(arguments)
        if made_by == _SIZE and len(arguments) == 1:
            return arguments[0]
    return Inert(made_by, [arguments])


def _dict(arguments: tuple[Any, ...]) -> Pairs:
    """An OrderedDict, which older Pythons pickle with its items as a list of pairs."""
    result = Pairs()
    for argument in arguments:
        if isinstance(argument, Pairs):
            result.extend(argument)
        elif type(argument) is list:
            result.extend(part for pair in argument if type(pair) in (list, tuple) and len(pair) == 2 for part in pair)
    return result


def _storage(identity: Any) -> Any:
    """The storage that ("storage", its class, key, device, elements) stands for."""
    if type(identity) is not tuple or len(identity) < 5 or identity[0] != "storage":
        return _OPAQUE
    made_by, key = identity[1], identity[2]
    if not isinstance(made_by, Global) or not isinstance(key, str):
        return _OPAQUE
    return Storage(key, _STORAGES.get(made_by.name))


def _view(arguments: Any) -> View | None:
    """The tensor that `_rebuild_tensor*(storage, offset, size, stride, ...)` makes, or None if it is none."""
    if type(arguments) is not tuple or len(arguments) < 4 or not isinstance(arguments[0], Storage):
        return None
    storage, offset, shape, strides = arguments[:4]
    dtype = next((argument for argument in arguments[4:] if isinstance(argument, Global)), None)
    spelling = storage.dtype or (_DTYPES.get(dtype.name) if dtype is not None and dtype.module == "torch" else None)
    if spelling is None or not (_sizes((offset,)) and _sizes(shape) and _sizes(strides) and len(shape) == len(strides)):
        return None
    return View(storage, spelling, offset, shape, strides)


def _sizes(values: Any) -> bool:
    return (
        type(values) is tuple
        and len(values) <= MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value <= MAX_DIMENSION for value in values)
    )
