"""What an owner may still store. Core room: decides, asks nothing."""

from dataclasses import dataclass

from media_service.auth.scopes import Account
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.quotas.queries import Figures


@dataclass(frozen=True, slots=True)
class Allowance:
    """The quotas of an owner, and what of them is free. None: without a limit.

    What is free is negative after a quota was set below what is stored.
    """

    limit_bytes: int | None = None
    limit_files: int | None = None
    free_bytes: int | None = None
    free_files: int | None = None

    @classmethod
    def of_account(cls, account: Account) -> "Allowance":
        """As far as the start of a request knows it: what other uploads reserve is not among it."""
        figures = (account.quota_bytes, account.quota_files, account.stored_bytes, account.stored_files)
        return cls.of_figures(figures, reserved=(0, 0))

    @classmethod
    def of_figures(cls, figures: Figures, *, reserved: tuple[int, int]) -> "Allowance":
        """`reserved`: bytes and files that uploads hold."""
        limit_bytes, limit_files, stored_bytes, stored_files = figures
        return cls(
            limit_bytes,
            limit_files,
            None if limit_bytes is None else limit_bytes - stored_bytes - reserved[0],
            None if limit_files is None else limit_files - stored_files - reserved[1],
        )

    def check(self, *, size_bytes: int, files: int) -> None:
        """Raises MediaServiceError (quota exceeded) unless so much is free."""
        if _fits(size_bytes, self.free_bytes) and _fits(files, self.free_files):
            return
        raise MediaServiceError(
            ErrorKind.QUOTA_EXCEEDED,
            "quota-exceeded",
            "The owner of these files has a quota, and they do not fit into what is left of it.",
            limit_bytes=self.limit_bytes,
            limit_files=self.limit_files,
            available_bytes=_left(self.free_bytes),
            available_files=_left(self.free_files),
        )

    def at_most(self, size_bytes: int) -> int:
        """As many of these bytes as are free."""
        return size_bytes if self.free_bytes is None else min(size_bytes, max(self.free_bytes, 0))


def _fits(wanted: int, free: int | None) -> bool:
    return free is None or wanted <= free


def _left(free: int | None) -> int | None:
    return None if free is None else max(free, 0)
