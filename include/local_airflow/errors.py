"""The exception that the launcher shows to the user, and its output on stderr."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

INTERRUPTED = 130  # the exit code of shells after Ctrl-C


class LaunchError(Exception):
    """A problem and its fix, in one or two sentences; shown without a traceback."""


DISK_FULL = "The disk is full: free about 2 GB, then run the command again."


def disk_error(error: OSError) -> LaunchError | None:
    """Return the message for a full or read-only disk, ``None`` for any other error."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LaunchError(DISK_FULL)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LaunchError(
            f"{error.filename} cannot be read or written ({error.strerror}): run the command in a "
            "checkout that belongs to you, on a writable disk."
        )
    return None


def run_reporting_errors(work: Callable[[], int], interrupted: str) -> int:
    """Run ``work`` and return its exit code; print a ``LaunchError`` on stderr."""
    try:
        return work()
    except (LaunchError, OSError) as error:
        launch_error = disk_error(error) if isinstance(error, OSError) else error
        if launch_error is None:
            raise
        print(f"Error: {launch_error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
