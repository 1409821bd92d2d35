"""Numbers as people read them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def human_bytes(count: int) -> str:
    """`count` bytes in decimal units, to three digits or so: 0 B, 999 B, 4.4 MB, 45.4 MB, 814 MB, 2.19 GB."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS[1:]:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            break
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def human_count(count: int) -> str:
    """`count` things, in words of thousands: 950, 22.7 M, 7.24 B."""
    for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:,}"


def percent(part: int, whole: int) -> str:
    """`part` of `whole` as "9.7 %"; nothing of nothing is "0 %"."""
    if whole == 0:
        return "0 %"
    value = 100 * part / whole
    return f"{value:.0f} %" if value >= 99.95 or value == 0 else f"{value:.1f} %"


def stored_line(stored: int, raw: int) -> str:
    """The line that ends a commit: "stored 4.4 MB for 45.4 MB (9.7 %)"."""
    return f"stored {human_bytes(stored)} for {human_bytes(raw)} ({percent(stored, raw)})"


def counted(count: int, one: str, many: str | None = None) -> str:
    """ "1 file", "2 files", "3 entries" (`many` where an s will not do)."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def human_seconds(seconds: float) -> str:
    """A duration as a clock: "0:07", "1:02:03"."""
    whole = int(seconds + 0.5)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
