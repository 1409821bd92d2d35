"""What the codecs know of each dtype."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """How the elements of a dtype are built.

    `width`: bytes of an element (a complex number is two). `exponent`: the lowest bit of the
    exponent of a float, None for integers. `infinity`: the bits of +infinity; what is above
    them (sign aside) is NaN. For F8_E4M3, which has no infinity, `infinity` is one below NaN.
    """

    width: int
    exponent: int | None = None
    infinity: int = 0
    has_infinity: bool = True


_F64 = Kind(8, 52, 0x7FF0_0000_0000_0000)
_F32 = Kind(4, 23, 0x7F80_0000)
_E4M3 = Kind(1, 3, 0x7E, has_infinity=False)
_E5M2 = Kind(1, 2, 0x7C)

KINDS: dict[str, Kind] = {
    "F64": _F64,
    "F32": _F32,
    "F16": Kind(2, 10, 0x7C00),
    "BF16": Kind(2, 7, 0x7F80),
    "F8_E4M3": _E4M3,
    "F8_E5M2": _E5M2,
    "C128": _F64,
    "C64": _F32,
    "I64": Kind(8),
    "I32": Kind(4),
    "I16": Kind(2),
    "I8": Kind(1),
    "U64": Kind(8),
    "U32": Kind(4),
    "U16": Kind(2),
    "U8": Kind(1),
    "BOOL": Kind(1),
}
"""By the spelling of safetensors. Any other dtype is opaque to the codecs."""
