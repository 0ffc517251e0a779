"""Resource limits of a decode child. Worker room."""

import contextlib
import resource

from workers.processing.limits import SandboxLimits


def apply_rlimits(limits: SandboxLimits) -> None:
    """Bind this process, hard and soft alike. Not RLIMIT_NPROC: it does not bind root and refuses threads."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    # At the soft limit SIGXCPU tells the verdict why; the hard one a second later cannot be caught.
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, margin=1)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)


def _limit(kind: int, value: int, *, margin: int = 0) -> None:
    # macOS refuses some of these (RLIMIT_AS); a limit it does not know is not a reason to do no work there.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (value, value + margin))
