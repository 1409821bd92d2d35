"""Protobuf's wire format, field by field, without a schema and without trusting a length.

Source: https://protobuf.dev/programming-guides/encoding/. Groups, deprecated since 2008, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mvc.errors import ParseError
from mvc.formats.cursor import Cursor
from mvc.formats.limits import Budget

VARINT, I64, LEN, I32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its value, if it is a VARINT, else the `length` bytes from `start` of the file."""

    number: int
    wire: int
    value: int
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


def fields(cursor: Cursor, end: int, budget: Budget) -> Iterator[Field]:
    """The fields of the message that lies from the cursor to byte `end`.

    While a LEN field is looked at the cursor stands at its first byte, and may be moved on within it.
    Raises ParseError when a field reaches past `end`, or when `budget` (counted in fields) is spent.
    """
    while cursor.position < end:
        budget.spend()
        key = cursor.varint()
        number, wire = key >> 3, key & 7
        value, length = 0, 0
        if wire == VARINT:
            value = cursor.varint()
        elif wire == LEN:
            length = cursor.varint()
        elif wire in (I64, I32):
            length = 8 if wire == I64 else 4
        else:
            raise ParseError(f"{cursor.what}: a field of wire type {wire} at byte {cursor.position}")
        start = cursor.position
        if number == 0 or start + length > end:
            raise ParseError(f"{cursor.what}: field {number} reaches past byte {end}")
        yield Field(number, wire, value, start, length)
        cursor.skip(start + length - cursor.position)
    if cursor.position != end:
        raise ParseError(f"{cursor.what}: a field reaches past byte {end}")


def text(cursor: Cursor, field: Field, limit: int) -> str:
    """The string in a LEN field of `limit` bytes at the most."""
    if field.wire != LEN:
        raise ParseError(f"{cursor.what}: a string of wire type {field.wire}")
    try:
        return cursor.take(field.length, limit).decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"{cursor.what}: a string is not UTF-8") from error


def numbers(cursor: Cursor, field: Field, limit: int) -> list[int]:
    """The values of a repeated number, packed or one by one; `limit` at the most."""
    if field.wire == VARINT:
        return [field.value]
    if field.wire != LEN:
        raise ParseError(f"{cursor.what}: a number of wire type {field.wire}")
    found: list[int] = []
    while cursor.position < field.end:
        if len(found) == limit:
            raise ParseError(f"{cursor.what}: more than {limit} numbers")
        found.append(cursor.varint())
    return found
