from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import IntegrityError, UsageError
from mvc.store.records import HEAD_SIZE, MAX_RAW, Location, is_sound, make_lead, parse_lead, parse_record

names = st.binary(min_size=32, max_size=32)


@st.composite
def records(draw: st.DrawFn) -> tuple[bytes, Location, bytes]:
    """A record's bytes, where it lies, its name."""
    name = draw(names)
    bases = tuple(draw(st.lists(names, max_size=3)))
    depth = draw(st.integers(1, 4)) if bases else 0
    params = draw(st.binary(max_size=255))
    payload = draw(st.lists(st.binary(max_size=40), max_size=4))
    raw_size = draw(st.integers(0, MAX_RAW))
    codec = draw(st.integers(0, 255))
    lead, stored = make_lead(name, raw_size, codec, depth, bases, params, payload)
    place = Location(b"p" * 32, 16, raw_size, stored, codec, depth, len(params), bases)
    return lead + b"".join(payload), place, name


@given(records())
def test_what_is_written_is_read(made: tuple[bytes, Location, bytes]) -> None:
    data, place, name = made
    assert len(data) == place.record_size
    assert is_sound(data)
    header, payload = parse_record(data, name, place)
    assert header.located(place.pack, place.offset) == place
    assert (header.name, header.record_size, bytes(payload)) == (name, len(data), data[place.payload_offset :])
    assert parse_lead(b"before" + data, 6) == header


@given(records(), st.data())
def test_every_flipped_bit_shows(made: tuple[bytes, Location, bytes], data: st.DataObject) -> None:
    record = bytearray(made[0])
    record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_sound(record)


@given(records(), st.data())
def test_a_record_that_is_cut_is_refused(made: tuple[bytes, Location, bytes], data: st.DataObject) -> None:
    record, place, name = made
    with pytest.raises(IntegrityError):
        parse_record(record[: data.draw(st.integers(0, len(record) - 1))], name, place)


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_harmless(data: bytes) -> None:
    try:
        header = parse_lead(data)
    except IntegrityError:
        return
    assert header.record_size <= HEAD_SIZE + 3 * 32 + 255 + MAX_RAW


@pytest.mark.parametrize(
    ("name", "raw_size", "depth", "bases", "params"),
    [
        (b"short", 1, 0, (), b""),
        (b"n" * 32, MAX_RAW + 1, 0, (), b""),
        (b"n" * 32, 1, 1, (), b""),  # a depth without a base
        (b"n" * 32, 1, 0, (b"b" * 32,), b""),  # a base without a depth
        (b"n" * 32, 1, 5, (b"b" * 32,), b""),
        (b"n" * 32, 1, 1, (b"b" * 32,) * 4, b""),
        (b"n" * 32, 1, 1, (b"b" * 31,), b""),
        (b"n" * 32, 1, 0, (), b"p" * 256),
    ],
)
def test_what_the_format_cannot_hold_is_refused(
    name: bytes, raw_size: int, depth: int, bases: tuple[bytes, ...], params: bytes
) -> None:
    with pytest.raises(UsageError):
        make_lead(name, raw_size, 0, depth, bases, params, (b"payload",))
