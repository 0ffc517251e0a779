"""How much each benchmark does: enough for steady medians, or a quick look."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Scale:
    rounds: int = 5
    small_requests: int = 1500
    """Per turn. psutil counts CPU in steps of 10 ms, so a turn must take hundreds of them."""
    stream_bytes: tuple[int, ...] = (256 * MIB, 1024 * MIB)
    photos: int = 8
    """Per turn."""
    ready_photos: int = 10
    """Per turn, one after the other."""
    listed_files: int = 1_000_000


FULL = Scale()
QUICK = Scale(
    rounds=3, small_requests=500, stream_bytes=(256 * MIB,), photos=4, ready_photos=5, listed_files=100_000
)
CLIENTS = 16
SMALL_BYTES = 20_000
