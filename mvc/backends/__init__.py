"""Bytes by key, wherever they lie: in memory, in a folder, in an object store. See docs/format/backends.md."""
