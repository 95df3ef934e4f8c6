"""The one exception that the launcher shows to the user."""

from __future__ import annotations

import errno


class LaunchError(Exception):
    """What is wrong and what to do about it, in one or two sentences; shown without a traceback."""


DISK_FULL = "The disk is full: free about 2 GB, then run the command again."


def disk_error(error: OSError) -> LaunchError | None:
    """Return what to tell the user about a full or read-only disk, None about any other error."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LaunchError(DISK_FULL)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LaunchError(
            f"{error.filename} cannot be read or written ({error.strerror}): run the command in a "
            "checkout that belongs to you, on a disk that is not read-only."
        )
    return None
