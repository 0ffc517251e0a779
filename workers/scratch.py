"""Where the jobs of one worker process keep their files. Worker room.

A process that is killed cannot clean up, and photos in a forgotten folder are a leak of space and of
privacy: so each folder is locked by its process, and whoever starts removes those that nobody locks.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from datetime import timedelta
from pathlib import Path

PREFIX = "media-worker-"
_UNLOCKED_PREFIX = "media-starting-"
_LOCK_NAME = "lock"
START_TIME = timedelta(minutes=10)
"""A folder that is older and still has the name of a start belongs to a process that was killed in the moment
between making and naming it."""


class ScratchFolder:
    """A folder for this process alone, below the system's folder for temporary files."""

    def __init__(self) -> None:
        for folder in abandoned_folders():
            remove_folder(folder)
        parent = Path(tempfile.gettempdir())
        unlocked = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
        self._lock = os.open(unlocked / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Only now under a name that others look for: before its lock it would look abandoned.
        self.path = unlocked.rename(parent / unlocked.name.replace(_UNLOCKED_PREFIX, PREFIX))

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def abandoned_folders() -> list[Path]:
    """What killed processes of this user left on this machine: folders whose locks nobody holds."""
    parent = Path(tempfile.gettempdir())
    old = time.time() - START_TIME.total_seconds()
    named = [folder for folder in parent.glob(f"{PREFIX}*") if _is_ours(folder) and _is_abandoned(folder)]
    unnamed = [
        folder
        for folder in parent.glob(f"{_UNLOCKED_PREFIX}*")
        if _is_ours(folder) and folder.lstat().st_mtime < old
    ]
    return named + unnamed


def remove_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, as far as that can be done."""
    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user: the parent may be open to all."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
