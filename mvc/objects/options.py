"""From config to the frozen settings that the core takes; and the check of the repository's format."""

from __future__ import annotations

from mvc.objects.config import Config
from mvc.settings import Settings


def resolve(config: Config) -> Settings:
    """All settings. Raises UsageError, naming key and value, where a value makes no sense."""
    raise NotImplementedError


def check_format(config: Config, *, writing: bool) -> None:
    """Raise UnsupportedFormat if `[mvc] format` is newer, or `requires` (or, when writing, also
    `readonlyRequires`) names a feature that is not known here, or Git's own format is not ours."""
    raise NotImplementedError
