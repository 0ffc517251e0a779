"""How large a picture may be and what its decoder may use. Core room: values only."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Checked against the header, before a single pixel is decoded."""

    max_pixels: int = 50_000_000
    """Width times height. A legal 49 MP PNG decodes to 200 MB of RGBA; twice that does not fit the sandbox
    with its interlace buffer. Lower refuses cameras (50 MP is a common sensor), higher needs more memory."""

    max_side_px: int = 20_000
    """Longest side. Stops strips (1 x 50,000,000) whose single row already defeats streaming; panoramas of
    phones end near 16,000."""

    max_frames: int = 500
    """Frames of an animation. Only the first is decoded, but a count far beyond real use is an attack on
    whatever reads the original later."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What the operating system grants one decode child."""

    memory_bytes: int = 1024 * MIB
    """RLIMIT_AS: address space, of which 160 MiB are the libraries. A 12 MP photo needs 30 MiB more; the
    hungriest legal files, WebP and interlaced 16-bit PNG of 49 MP, come to 830 and 715 MiB in all. With
    less, large files end as "sandbox-out-of-memory", or as crashes where a library aborts; with more,
    hostile files push others out. Lower it together with `max_pixels`."""

    cpu_seconds: int = 20
    """RLIMIT_CPU. A 12 MP photo takes 0.3 s, the slowest legal file (50 MP HEIC) a few seconds on a slow
    core. Higher lets a poisoned file hold a core for longer."""

    wall_seconds: float = 30
    """From fork to SIGKILL, enforced by the zygote: a child that sleeps uses no CPU. Larger than
    `cpu_seconds`, since a busy machine gives a child only a part of a core."""

    file_bytes: int = 512 * MIB
    """RLIMIT_FSIZE. The largest rendition (8192 x 8192 RGBA) is 256 MiB raw, so no honest file meets it; a
    runaway writer cannot fill the disk at once."""

    open_files: int = 64
    """RLIMIT_NOFILE. A pipeline holds fewer than 10; libraries that leak on hostile files are stopped."""
