"""What makes a remote one, put back where it was lost: its format, and the entries of the log that are remembered here.

Entries are remembered byte for byte. What stands there and makes sense is never touched, whatever it says.
"""

from __future__ import annotations

import re

from mvc.errors import NotFound, ParseError, UnsupportedFormat
from mvc.sync import keys
from mvc.sync.remotefsck import RemoteFsck
from mvc.sync.remotelog import TRIMMED, RemoteLog, format_of, remembered_texts, remembered_url
from mvc.sync.remotes import Remote
from mvc.sync.state import MAX_ENTRY, base_of, check

_LATER = re.compile(rb"mvc-remote (?!1\n)[1-9][0-9]{0,8}\n")


def restore_log(remote: Remote) -> list[str]:
    """Put back what is gone or makes no sense; returns the keys. Does nothing for a remote that was never seen to hold
    anything. Raises NetworkError, AuthError."""
    texts = remembered_texts(remote.memory)
    if not texts or remembered_url(remote.memory) != remote.backend.url:
        return []
    done: list[str] = []
    found = _get(remote, keys.FORMAT, 4096)
    if found is None or (format_of(found) is None and not _LATER.match(found)):
        remote.backend.put(
            keys.FORMAT, RemoteLog(remote.backend, None, remote.repo.settings.store.naming).format_text()
        )
        done.append(keys.FORMAT)
    for seq, text in texts:
        if not _makes_sense(_get(remote, keys.entry(seq), MAX_ENTRY + 1), seq):
            remote.backend.put(keys.entry(seq), text)
            done.append(keys.entry(seq))
    return done


def trim_lost(remote: Remote, found: RemoteFsck) -> list[str]:
    """Mark the entries that are lost, and that nobody needs to read the newest, as gc does: their numbers stay taken.
    Returns the keys. `found`: what fsck has just found. Raises NetworkError, AuthError."""
    seq = found.state.seq
    listed = {entry.key for entry in remote.backend.list(keys.LOG)}
    first = min((key for key in listed), default="")
    damaged = {finding.what for finding in found.findings if finding.what in listed}
    base = base_of(_get(remote, keys.entry(seq), MAX_ENTRY + 1) or b"") if seq else None
    done: list[str] = []
    for number in range(1, seq):
        key = keys.entry(number)
        lost = key > first and key not in listed
        spoilt = key in damaged and not _makes_sense(_get(remote, key, MAX_ENTRY + 1), number)
        if (lost or spoilt) and (base is None or number != base[0]):
            remote.backend.put(key, TRIMMED)
            done.append(key)
    return done


def settle_hint(remote: Remote, seq: int) -> None:
    """Have `latest` name entry `seq`, the newest there is, where it names one that is lost for good."""
    if RemoteLog(remote.backend, None, None).hinted() > seq:
        remote.backend.put(keys.LATEST, b"%d\n" % seq)


def _makes_sense(found: bytes | None, seq: int) -> bool:
    """Whether this may be what somebody wrote as that entry."""
    if found is None:
        return False
    try:
        return found == TRIMMED or int(check(found)[1]) == seq
    except UnsupportedFormat:
        return True
    except ParseError:
        return False


def _get(remote: Remote, key: str, length: int) -> bytes | None:
    try:
        return remote.backend.get(key, 0, length)
    except NotFound:
        return None
