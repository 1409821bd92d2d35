"""Moving history and chunks between repositories: the remote's log, push, fetch, and chunks on demand.

docs/format/remote.md specifies what stands in a remote.
"""
