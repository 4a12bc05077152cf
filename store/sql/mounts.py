"""Detection of network filesystems, where the locks of SQLite do not hold."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK_FILESYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "lustre",
        "ceph",
        "fuse.ceph",
        "glusterfs",
        "fuse.glusterfs",
        "gpfs",
        "beegfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.goofys",
        "fuse.rclone",
        "fuse.juicefs",
        "fuse.mount-s3",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.davfs",
        "davfs",
        "orangefs",
        "pvfs2",
        "moosefs",
        "fuse.mfs",
        "wekafs",
    }
)

_MOUNTS = Path("/proc/mounts")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def parse_mounts(text: str) -> list[tuple[Path, str]]:
    """Return (mount point, filesystem type) of each line of ``/proc/mounts``, in its order."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3:
            point = _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), fields[1])
            found.append((Path(point), fields[2]))
    return found


def network_filesystem(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the filesystem type of ``path`` if it is a network filesystem, else None.

    ``path`` need not exist: the nearest existing parent decides. None if ``mounts`` cannot be read
    (a system without /proc). 9p is not counted, because it is the root of many sandboxes.
    """
    try:
        table = parse_mounts(mounts.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return None
    real = path.resolve()
    kind, depth = "", -1
    for point, name in table:
        # >= because a later mount on the same point hides the earlier one
        if real.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = name, len(point.parts)
    return kind if kind in NETWORK_FILESYSTEMS else None
