"""What the tests of servers share with those of backends."""

from tests.backends.conftest import radosgw

__all__ = ["radosgw"]
