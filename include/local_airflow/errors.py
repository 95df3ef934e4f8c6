"""The one exception that the launcher shows to the user, and how it is shown."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

INTERRUPTED = 130  # exit code, as a shell has it


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


def told(work: Callable[[], int], interrupted: str) -> int:
    """Do the work and return its exit code; what hinders it is a sentence on stderr."""
    try:
        return work()
    except (LaunchError, OSError) as error:
        hindrance = disk_error(error) if isinstance(error, OSError) else error
        if hindrance is None:
            raise
        print(f"Error: {hindrance}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
