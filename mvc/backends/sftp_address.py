"""A folder behind SFTP, out of a URL: sftp://[user@]host[:port]/path, or sftp://host/~/path from the home folder on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mvc.backends.ssh_address import Place, split
from mvc.errors import UsageError


@dataclass(frozen=True, slots=True)
class SftpAddress:
    """Where it is, and the environment in which keys are looked for."""

    url: str
    place: Place
    environment: Mapping[str, str] = field(repr=False, compare=False)


def parse(url: str, environment: Mapping[str, str]) -> SftpAddress:
    """Raises UsageError for a URL that names nothing, or holds what it must not."""
    place, query = split(url)
    if query:
        raise UsageError("sftp:// takes no options", hint="they stand in ~/.ssh/config")
    if place.path.strip("/") in ("", "~"):
        raise UsageError("which folder there? sftp://host/path, or sftp://host/~/path")
    return SftpAddress(url, place, environment)
