"""What kind of file system a folder is on."""

from __future__ import annotations

import os
from pathlib import Path

_NETWORK = frozenset(
    ["9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre"]
    + ["ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs"]
    + [f"fuse.{name}" for name in ("gcsfuse", "glusterfs", "goofys", "juicefs", "rclone", "s3fs", "sshfs")]
)
_MOUNTS = Path("/proc/self/mountinfo")


def is_network(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Is `path` on a file system that other machines change too?

    Mapped files are dangerous there: one that is cut short elsewhere kills the process that reads
    it. Known from Linux's table of mounts; elsewhere False.
    """
    return kind(path, mounts) in _NETWORK


def kind(path: Path, mounts: Path = _MOUNTS) -> str:
    """The file system's name (`ext4`, `nfs4`, `fuse.sshfs`), or "" where it cannot be known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    target = os.path.realpath(path)
    best, name = "", ""
    for line in lines:
        # 36 35 98:0 /root /mount/point options - type source options (proc_pid_mountinfo(5))
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _unescape(fields[4])
        if len(point) >= len(best) and (target == point or target.startswith(point.rstrip("/") + "/")):
            best, name = point, after.split(" ")[0]
    return name


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
