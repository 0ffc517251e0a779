"""A page in a real browser, headless: Debian's chromium."""

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = PROGRAMS = ("chromium",)
SECONDS = 90

FLAGS = (
    "--headless",
    "--no-sandbox",  # containers give it none, and the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # it shall reach nothing but us
    "--virtual-time-budget=60000",  # ms; waits for requests of the page, and for no longer than they take
    "--dump-dom",
    "--enable-logging=stderr",
)


@dataclass(frozen=True, slots=True)
class Visit:
    document: str
    console: list[str]
    """What the page or its browser had to say, such as what a policy kept it from."""


def dump_dom(url: str) -> str:
    """The document of a page when its scripts and requests are done. Raises TimeoutExpired."""
    return visit(url).document


def visit(url: str) -> Visit:
    """Open a page and wait until its scripts and requests are done. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="media-test-browser-", ignore_cleanup_errors=True) as folder:
        argv = [shutil.which("chromium") or "chromium", *FLAGS, f"--user-data-dir={folder}/profile", url]
        return _run(argv, Path(folder))


def _run(argv: list[str], folder: Path) -> Visit:
    process = subprocess.Popen(
        argv,
        env={"PATH": os.defpath + ":/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        document, log = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    lines = log.decode(errors="replace").splitlines()
    return Visit(document.decode(), [line for line in lines if ":CONSOLE" in line])
