"""A decode child that was taken over: a program for tests, run by path.

`intruder.py <source> <output directory> <names of layers to leave out>` forks one child as the zygote does
and, where the pipeline would run, has it try every wall. Prints what came of each attempt: "done" or the
name of an errno.
"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workers.processing import confinement, protocol
from workers.processing.child import run_child
from workers.processing.kernel import syscall
from workers.processing.limits import SandboxLimits
from workers.processing.request import ImageRequest
from workers.processing.syscall_numbers import _DENIED, _of

LIBRARY = ctypes.CDLL(None, use_errno=True)
CHANNEL_FD = 3
F_SETOWN = 8
PARENT = os.getpid()
PTRACE_SEIZE = 0x4206
CLONE_NEWUSER = 0x10000000
MACHINE = os.uname().machine


def by_library(name: str, *arguments: int | None) -> None:
    if getattr(LIBRARY, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, name)


def by_number(name: str, *arguments: int | None) -> None:
    syscall(_of(_DENIED, MACHINE)[name], *arguments)


def open_socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def receive_on_own_channel() -> None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=CHANNEL_FD)
    try:
        channel.recv(1, socket.MSG_DONTWAIT)
    finally:
        channel.detach()


def start_thread() -> None:
    thread = threading.Thread(target=os.getpid)
    thread.start()
    thread.join()


def attempts(request: ImageRequest) -> dict[str, Callable[[], object]]:
    source, inside, outside = request.source, request.output_dir, request.output_dir.parent
    neighbour = outside / "neighbour"
    return {
        "udp socket": lambda: open_socket(socket.AF_INET, socket.SOCK_DGRAM),
        "udp6 socket": lambda: open_socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "tcp socket": lambda: open_socket(socket.AF_INET, socket.SOCK_STREAM),
        "tcp connection": lambda: socket.create_connection(("127.0.0.1", 9), timeout=2),
        "unix socket": lambda: open_socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "netlink socket": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "socket pair": socket.socketpair,
        "receive on own channel": receive_on_own_channel,
        "read passwd": Path("/etc/passwd").read_bytes,
        "read neighbour": neighbour.read_bytes,
        "read module": Path(protocol.__file__).read_bytes,
        "read parent's memory map": Path(f"/proc/{PARENT}/maps").read_bytes,
        "list root": lambda: list(Path("/").iterdir()),
        "write neighbour": lambda: neighbour.write_bytes(b"taken"),
        "write outside": lambda: (outside / "new").write_bytes(b"taken"),
        "write source": lambda: source.open("r+b"),
        "truncate neighbour": lambda: os.truncate(neighbour, 0),
        "remove neighbour": neighbour.unlink,
        "move neighbour in": lambda: neighbour.rename(inside / "mine"),
        "link neighbour in": lambda: (inside / "link").hardlink_to(neighbour),
        "symbolic link": lambda: (inside / "symbolic").symlink_to("/etc/passwd"),
        "directory": (inside / "folder").mkdir,
        "pipe": lambda: os.mkfifo(inside / "pipe"),
        "chmod neighbour": lambda: neighbour.chmod(0o777),
        "chown neighbour": lambda: os.chown(neighbour, os.getuid(), os.getgid()),
        "touch neighbour": lambda: os.utime(neighbour, (1, 1)),
        "label neighbour": lambda: os.setxattr(neighbour, "user.mark", b"1"),
        "exec": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it tries
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "fork": os.fork,
        "ptrace parent": lambda: by_library("ptrace", PTRACE_SEIZE, PARENT, None, None),
        "read parent's memory": lambda: by_number("process_vm_readv", PARENT, 0, 0, 0, 0, 0),
        "signal parent": lambda: os.kill(PARENT, signal.SIGCONT),
        "signal parent's group": lambda: os.killpg(os.getpgid(PARENT), signal.SIGCONT),
        "signal everybody": lambda: os.kill(-1, signal.SIGCONT),
        "signal by descriptor": lambda: os.pidfd_open(PARENT),
        "signal by own channel": lambda: fcntl.fcntl(CHANNEL_FD, F_SETOWN, PARENT),
        "limit parent": lambda: resource.prlimit(PARENT, resource.RLIMIT_CPU, (3600, 3600)),
        "slow parent down": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 1),
        "mount": lambda: by_library("mount", None, None, None, 0, None),
        "unshare": lambda: by_library("unshare", CLONE_NEWUSER),
        "bpf": lambda: by_number("bpf", 0, 0, 0),
        "perf": lambda: by_number("perf_event_open", 0, 0, -1, -1, 0),
        "keyctl": lambda: by_number("keyctl", 0, 0, 0, 0, 0),
        "io_uring": lambda: by_number("io_uring_setup", 1, 0),
        "userfaultfd": lambda: by_number("userfaultfd", 0),
        "shared memory": lambda: by_library("shmget", 0, 4096, 0o1600),
        "read source": source.read_bytes,
        "write inside": lambda: (inside / "0.webp").write_bytes(b"fine"),
        "read inside": (inside / "0.webp").read_bytes,
        "list inside": lambda: list(inside.iterdir()),
        "remove inside": (inside / "0.webp").unlink,
        "thread": start_thread,
        "random": lambda: os.urandom(8),
        "own signal": lambda: os.kill(os.getpid(), signal.SIGCONT),
        "own limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)),
    }


def try_all(request: ImageRequest) -> dict[str, str]:
    return {name: outcome_of(attempt) for name, attempt in attempts(request).items()}


def outcome_of(attempt: Callable[[], object]) -> str:
    me = os.getpid()
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        if os.getpid() != me:
            os._exit(0)  # the copy that a fork made
    return "done"


def main(source: str, output_dir: str, left_out: list[str]) -> None:
    layers = replace(confinement.find_layers(), **dict.fromkeys(left_out, False))
    ours, theirs = socket.socketpair()
    zygote_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        run_child(theirs, try_all, limits=SandboxLimits(), layers=layers, zygote_pid=zygote_pid)
    theirs.close()
    request = ImageRequest(Path(source), "image/jpeg", Path(output_dir), ())
    ours.sendall(protocol.encode_line(request.to_json()))
    print(json.dumps(protocol.decode_line(protocol.read_line(ours))))
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
