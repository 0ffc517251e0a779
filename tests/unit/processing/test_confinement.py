"""A decode child that was taken over gets nowhere: it really tries, in a real child (see `intruder.py`)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support import images
from tests.unit.processing.conftest import make_process
from workers.processing import seccomp
from workers.processing.layers import Layers
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox
from workers.processing.syscall_numbers import AARCH64, X86_64, denied_numbers, judged_numbers

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LANDLOCK = ("landlock_files", "landlock_tcp", "landlock_scope")

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Landlock and seccomp are Linux")

ALLOWED = {
    "read source",
    "write inside",
    "read inside",
    "list inside",
    "remove inside",
    "thread",
    "random",
    "own signal",
    "own limit",
}
FILES = {
    "read passwd",
    "read neighbour",
    "read module",
    "read parent's memory map",
    "list root",
    "write neighbour",
    "write outside",
    "write source",
    "truncate neighbour",
    "remove neighbour",
    "move neighbour in",
    "link neighbour in",
    "symbolic link",
    "directory",
    "pipe",
    "exec",
    "spawn",
}
REFUSED = {"EPERM", "EACCES", "EXDEV"}


def run_python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, timeout=60, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.stdout


def intrude(folder: Path, *left_out: str) -> dict[str, str]:
    source, output_dir, neighbour = folder / "source", folder / "output", folder / "neighbour"
    output_dir.mkdir()
    source.write_bytes(b"mine")
    neighbour.write_bytes(b"not mine")
    answer = json.loads(run_python(str(HERE / "intruder.py"), str(source), str(output_dir), *left_out))
    outcomes: dict[str, str] = answer["image"]
    return outcomes


@linux_only
def test_a_child_gets_at_nothing_but_its_source_and_its_output(tmp_path: Path):
    outcomes = intrude(tmp_path)
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == ALLOWED
    assert {outcome for name, outcome in outcomes.items() if name not in ALLOWED} <= REFUSED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["neighbour", "output", "source"]
    assert (tmp_path / "neighbour").read_bytes() == b"not mine"


@linux_only
def test_landlock_alone_keeps_files_and_tcp(tmp_path: Path):
    outcomes = intrude(tmp_path, "seccomp")
    kept = {*FILES, "tcp connection"}
    assert {outcomes[name] for name in kept} <= REFUSED
    assert {outcomes[name] for name in ALLOWED} == {"done"}


@linux_only
def test_seccomp_alone_keeps_all_but_reading_and_writing(tmp_path: Path):
    outcomes = intrude(tmp_path, *LANDLOCK)
    left = {name for name in FILES if name.split()[0] in {"read", "write", "list", "remove", "move", "link"}}
    kept = set(outcomes) - ALLOWED - left - {"symbolic link", "directory"}
    assert len(kept) > 30
    assert {outcomes[name] for name in kept} == {"EPERM"}


I386_CALL = """
import ctypes, mmap, os
from workers.processing import prctl, seccomp
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))  # getpid through the 32-bit gate
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
pid = os.fork()
if pid == 0:
    prctl.set_no_new_privs()
    seccomp.install()
    call()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) < 0)
"""


@pytest.mark.skipif(seccomp.machine() != X86_64, reason="the 32-bit gate of x86_64")
def test_a_call_through_another_architectures_gate_is_death():
    assert run_python("-c", I386_CALL) == "True\n"


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the kernel would make of the filter: an interpreter of its six instructions."""
    known = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
    words = {0: number, 4: known[machine] if architecture is None else architecture}
    words |= {16 + 8 * index: value for index, value in enumerate(arguments)}
    steps, place, value = seccomp.program(machine, own_pid=77), 0, 0
    while True:
        code, if_true, if_false, operand = steps[place]
        place += 1
        match code:
            case 0x20:
                value = words.get(operand, 0)
            case 0x54:
                value &= operand
            case 0x15:
                place += if_true if value == operand else if_false
            case 0x35:
                place += if_true if value >= operand else if_false
            case 0x06:
                return operand


ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
PTHREAD_FLAGS = 0x3D0F00


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_filter_refuses_exactly_what_is_listed(machine: str):
    judged = set(judged_numbers(machine).values())
    refused = [n for n in range(600) if n not in judged and verdict(machine, n) != ALLOW]
    assert refused == denied_numbers(machine)
    assert {verdict(machine, n) for n in refused} == {EPERM}


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (PTHREAD_FLAGS,), ALLOW),
        ("clone", (17,), EPERM),
        ("clone", (PTHREAD_FLAGS | 0x40000000,), EPERM),
        ("clone3", (), ENOSYS),
        ("kill", (77, 6), ALLOW),
        ("kill", (1, 9), EPERM),
        ("kill", (0xFFFFFFFF, 9), EPERM),
        ("tkill", (78, 9), EPERM),
        ("tgkill", (77, 78, 6), ALLOW),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (77,), ALLOW),
        ("prlimit64", (1,), EPERM),
        ("fcntl", (3, 8), EPERM),
        ("fcntl", (3, 1), ALLOW),
    ],
)
def test_filter_judges_arguments(machine: str, name: str, arguments: tuple[int, ...], expected: int):
    assert verdict(machine, judged_numbers(machine)[name], *arguments) == expected


def test_filter_shuts_the_gates_of_other_architectures():
    assert verdict(X86_64, 0, architecture=0x40000003) == KILL
    assert verdict(AARCH64, 0, architecture=0x40000028) == KILL
    assert verdict(X86_64, 0x40000000) == verdict(X86_64, 0x40000208) == EPERM


@linux_only
def test_the_zygote_tells_the_worker_its_layers(tmp_path: Path):
    own = Sandbox(limits=SandboxLimits(), image_limits=ImageLimits())
    with capture_logs() as logs, own:
        assert own.layers == Layers(*[True] * 4)
        own._discard_zygote()
        make_process(own, tmp_path)(images.jpeg())
    events = [entry["event"] for entry in logs]
    assert events == ["sandbox.layers_complete"]


OLD_KERNEL = """
import ctypes, struct, sys
from pathlib import Path
from structlog.testing import capture_logs
from workers.processing import kernel, prctl, seccomp
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox
prctl_number = {"x86_64": 157, "aarch64": 167}[seccomp.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050026), (0x15, 0, 3, prctl_number),
         (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x00050016), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
header = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(program)))
prctl.set_no_new_privs()
kernel.prctl(22, 2, ctypes.addressof(header))
source, output_dir = map(Path, sys.argv[1:])
with capture_logs() as logs, Sandbox(limits=SandboxLimits(), image_limits=ImageLimits()) as sandbox:
    made = sandbox.process_image(source, content_type="image/jpeg", presets=(), output_dir=output_dir)
    print([(entry["log_level"], entry["event"], entry["layer"]) for entry in logs], made.metadata["width"])
"""


@pytest.mark.skipif(seccomp.machine() is None, reason="an old kernel is played by a seccomp filter")
def test_on_a_kernel_without_them_each_missing_layer_is_a_warning_and_photos_are_processed(tmp_path: Path):
    """A real kernel that answers like an old one: a filter refuses Landlock and further filters."""
    source = tmp_path / "source"
    source.write_bytes(images.jpeg())
    expected = [("warning", "sandbox.layer_missing", name) for name in (*LANDLOCK, "seccomp")]
    assert run_python("-c", OLD_KERNEL, str(source), str(tmp_path)) == f"{expected} 640\n"
