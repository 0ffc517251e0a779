"""Which walls of the sandbox stand on this machine. Core room: values only."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Layers:
    """What the kernel grants beyond rlimits and no_new_privs, which every Linux has.

    Each was tried in a process of its own, not guessed from a version.
    """

    landlock_files: bool
    """A child opens its source and its output directory and no other file (Linux 5.13)."""
    landlock_tcp: bool
    """It neither binds nor connects TCP (6.7)."""
    landlock_scope: bool
    """It signals nobody outside and reaches no abstract Unix socket (6.12)."""
    seccomp: bool
    """No sockets, programs, processes, tracing or changes of files' modes. x86_64 and aarch64 only."""

    def missing(self) -> tuple[str, ...]:
        """Names, in the order above."""
        return tuple(layer.name for layer in fields(self) if not getattr(self, layer.name))
