"""Temporary files and folders that killed processes left on this machine. Worker room.

Those of other machines are found by the processes there, when they start.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from media_service.models import utc_now
from workers.jobs.sweep.findings import Batch, Finding, Kind
from workers.jobs.sweep.walk import MAX_FOUND
from workers.scratch import abandoned_folders, remove_folder


class LeftFiles:
    """Scratch folders of workers whose locks nobody holds, and old files in the folder of spilled parts.

    A spilled part has no name where the system can do that; where it cannot, it has one for the moment
    between making and unlinking it, and a process that is killed just then leaves it.
    """

    is_through = True
    """Each look sees all; there are few."""

    def __init__(self, spill_dir: Path, *, grace: timedelta) -> None:
        self._spill_dir = spill_dir
        self._grace = grace

    def look(self) -> Iterator[Batch]:
        before = utc_now() - self._grace
        files = [path for path in self._spilled() if _changed_at(path) < before]
        paths = [*islice(files, MAX_FOUND), *abandoned_folders()]
        findings = [Finding(Kind.LEFT_FILE, str(path), _changed_at(path)) for path in paths]
        yield Batch(findings, partial(_remove, findings))

    def _spilled(self) -> list[Path]:
        if not self._spill_dir.is_dir():
            return []
        return [path for path in self._spill_dir.iterdir() if path.is_file() and not path.is_symlink()]


def _changed_at(path: Path) -> datetime:
    """When it was last written; now if it is just vanishing."""
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return utc_now()


def _remove(findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        path = Path(finding.name)
        if path.is_dir():
            remove_folder(path)
        else:
            with suppress(OSError):  # it stays, and is found again
                path.unlink()
    return [finding for finding in findings if not Path(finding.name).exists()]
