"""The sandbox under real faults: children and zygotes are killed, never pretended to be.

A named pipe as the source keeps a child waiting in `open` for as long as a test needs it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.transforms.spec import DEFAULT_PRESETS, Preset
from tests.support import images
from tests.unit.processing.conftest import make_process
from workers.processing import protocol
from workers.processing.limits import MIB, ImageLimits, SandboxLimits
from workers.processing.request import ImageRequest
from workers.processing.results import ProcessedImage
from workers.processing.sandbox import Sandbox

ROOT = Path(__file__).parents[3]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A sandbox of the test's own, to be broken."""
    with Sandbox(limits=SandboxLimits(), image_limits=ImageLimits()) as started:
        yield started


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as started:
        yield started


def stuck_source(folder: Path) -> Path:
    source = folder / "pipe"
    os.mkfifo(source)
    return source


def begin_stuck_job(pool: ThreadPoolExecutor, sandbox: Sandbox, folder: Path) -> Future[ProcessedImage]:
    return pool.submit(
        sandbox.process_image, stuck_source(folder), content_type="image/jpeg", presets=(), output_dir=folder
    )


def eventually(condition: Callable[[], object], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def children_of(sandbox: Sandbox) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(sandbox.zygote_pid).children(recursive=True)
    return children


def the_child_of(sandbox: Sandbox) -> psutil.Process:
    eventually(lambda: children_of(sandbox))
    return children_of(sandbox)[0]


def refused(future: Future[ProcessedImage]) -> MediaServiceError:
    error = future.exception(timeout=30)
    assert isinstance(error, MediaServiceError)
    assert error.kind == ErrorKind.CRASHED
    return error


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
def test_a_child_that_dies_is_sandbox_crashed_with_its_signal(
    own: Sandbox, pool: ThreadPoolExecutor, tmp_path: Path, number: int
):
    job = begin_stuck_job(pool, own, tmp_path)
    the_child_of(own).send_signal(number)
    error = refused(job)
    assert (error.code, error.members) == ("sandbox-crashed", {"signal": number})


def test_a_child_out_of_cpu_time_is_sandbox_timeout(own: Sandbox, pool: ThreadPoolExecutor, tmp_path: Path):
    job = begin_stuck_job(pool, own, tmp_path)
    the_child_of(own).send_signal(signal.SIGXCPU)
    assert refused(job).code == "sandbox-timeout"


def test_a_child_that_sleeps_is_killed_at_the_wall_clock(tmp_path: Path, pool: ThreadPoolExecutor):
    with Sandbox(limits=SandboxLimits(wall_seconds=0.5), image_limits=ImageLimits()) as own:
        begun = time.monotonic()
        job = begin_stuck_job(pool, own, tmp_path)
        error = refused(job)
        assert (error.code, children_of(own)) == ("sandbox-timeout", [])
        assert 0.4 < time.monotonic() - begun < 3


def test_too_little_memory_is_named(tmp_path: Path):
    limits = SandboxLimits(memory_bytes=300 * MIB)
    with Sandbox(limits=limits, image_limits=ImageLimits()) as own:
        process = make_process(own, tmp_path)
        with pytest.raises(MediaServiceError) as caught:
            process(images.jpeg(6000, 6000, progressive=True, subsampling=0))
        assert (caught.value.kind, caught.value.code) == (ErrorKind.CRASHED, "sandbox-out-of-memory")
        assert process(images.jpeg()).metadata["width"] == 640


def test_a_full_file_limit_is_not_blamed_on_the_media(tmp_path: Path):
    preset = Preset(name="big", width_px=2000, height_px=2000, format="png")
    with Sandbox(limits=SandboxLimits(file_bytes=1000), image_limits=ImageLimits()) as own:
        with pytest.raises(MediaServiceError) as caught:
            make_process(own, tmp_path)(images.jpeg(), presets=(preset,))
        assert (caught.value.kind, caught.value.code) == (ErrorKind.CRASHED, "sandbox-crashed")


def test_a_worker_that_hangs_up_stops_the_child(own: Sandbox, tmp_path: Path):
    channel = own._open_job()
    request = ImageRequest(stuck_source(tmp_path), "image/jpeg", tmp_path, ())
    channel.sendall(protocol.encode_line(request.to_json()))
    child = the_child_of(own)
    channel.close()
    eventually(lambda: not child.is_running())


def test_the_next_call_works_after_the_zygote_was_killed(own: Sandbox, tmp_path: Path):
    process = make_process(own, tmp_path)
    for _ in range(3):
        before = own.zygote_pid
        os.kill(before or 0, signal.SIGKILL)
        assert process(images.jpeg()).metadata["width"] == 640
        assert own.zygote_pid != before
        assert own.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_is_the_workers_to_handle(own: Sandbox, tmp_path: Path, number: int):
    before = own.zygote_pid
    os.kill(before or 0, number)
    assert make_process(own, tmp_path)(images.jpeg()).metadata["width"] == 640
    assert own.zygote_pid == before


def test_a_job_in_flight_fails_by_name_when_the_zygote_is_killed(
    own: Sandbox, pool: ThreadPoolExecutor, tmp_path: Path
):
    job = begin_stuck_job(pool, own, tmp_path)
    child = the_child_of(own)
    os.kill(own.zygote_pid or 0, signal.SIGKILL)
    assert refused(job).code == "sandbox-crashed"
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_close_ends_zygote_and_children(pool: ThreadPoolExecutor, tmp_path: Path):
    own = Sandbox(limits=SandboxLimits(), image_limits=ImageLimits())
    assert own.is_alive() is False
    own.start()
    job = begin_stuck_job(pool, own, tmp_path)
    gone = [the_child_of(own).pid, own.zygote_pid]
    own.close()
    own.close()
    assert refused(job).code == "sandbox-crashed"
    assert own.is_alive() is False
    eventually(lambda: not any(psutil.pid_exists(pid or 0) for pid in gone))


WORKER = """
import sys, threading
from functools import partial
from pathlib import Path
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox
sandbox = Sandbox(limits=SandboxLimits(), image_limits=ImageLimits())
sandbox.start()
job = dict(content_type="image/jpeg", presets=(), output_dir=Path(sys.argv[2]))
threading.Thread(target=sandbox.process_image, args=[Path(sys.argv[1])], kwargs=job).start()
print(sandbox.zygote_pid, file=sys.stderr, flush=True)  # on stdout are the logs
"""


def test_zygote_and_children_vanish_when_the_worker_is_killed(tmp_path: Path):
    command = [sys.executable, "-c", WORKER, str(stuck_source(tmp_path)), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr
        zygote = psutil.Process(int(worker.stderr.readline()))
        eventually(zygote.children)
        family = [zygote, *zygote.children(recursive=True)]
        worker.kill()
    eventually(lambda: not any(process.is_running() for process in family))


def test_a_zygote_started_by_a_thread_outlives_the_thread(tmp_path: Path):
    own = Sandbox(limits=SandboxLimits(), image_limits=ImageLimits())
    starter = threading.Thread(target=own.start)
    starter.start()
    starter.join()
    with own:
        before = own.zygote_pid
        assert make_process(own, tmp_path)(images.jpeg()).metadata["width"] == 640
        assert own.zygote_pid == before


def test_eight_threads_at_once_get_each_their_own_result(
    sandbox: Sandbox, pool: ThreadPoolExecutor, tmp_path: Path
):
    def run(number: int) -> tuple[int, int]:
        folder = tmp_path / str(number)
        folder.mkdir()
        result = make_process(sandbox, folder)(images.jpeg(200 + number, 100), presets=DEFAULT_PRESETS)
        return result.metadata["width"], result.renditions[2].width_px

    assert list(pool.map(run, range(48))) == [(200 + number, 200 + number) for number in range(48)]
    eventually(lambda: children_of(sandbox) == [])


@linux_only
def test_the_zygote_has_one_thread_and_no_secret(
    own: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MEDIA_SECRET_KEY", "do-not-tell")
    own.close()
    process = make_process(own, tmp_path)
    process(images.jpeg())
    proc = Path(f"/proc/{own.zygote_pid}")
    names = {entry.split(b"=")[0] for entry in proc.joinpath("environ").read_bytes().split(b"\0") if entry}
    assert names == {b"VIPS_CONCURRENCY", b"OPENBLAS_NUM_THREADS", b"OMP_NUM_THREADS", b"MALLOC_ARENA_MAX"}
    assert b"do-not-tell" not in proc.joinpath("cmdline").read_bytes()
    assert len(list(proc.joinpath("task").iterdir())) == 1


def is_confined(child: psutil.Process, folders: list[Path]) -> bool:
    status = Path(f"/proc/{child.pid}/status").read_text()
    return "NoNewPrivs:\t1" in status and Path(child.cwd()) in folders


@linux_only
def test_a_child_holds_nothing_of_other_jobs_and_is_bound(
    own: Sandbox, pool: ThreadPoolExecutor, tmp_path: Path
):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    jobs = [begin_stuck_job(pool, own, folder) for folder in folders]
    eventually(lambda: len(children_of(own)) == 2)
    for child in children_of(own):
        eventually(partial(is_confined, child, folders))
        descriptors = [str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()]
        assert sorted(name.split(":")[0] for name in descriptors) == ["/dev/null"] * 3 + ["socket"]
        assert child.rlimit(psutil.RLIMIT_AS) == (1024 * MIB, 1024 * MIB)
        assert child.rlimit(psutil.RLIMIT_CPU) == (20, 21)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_NOFILE) == (64, 64)
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (512 * MIB, 512 * MIB)
        assert os.getpgid(child.pid) == child.pid
        child.kill()
    assert {refused(job).code for job in jobs} == {"sandbox-crashed"}


@linux_only
def test_many_jobs_leak_no_descriptor(own: Sandbox, tmp_path: Path):
    process = make_process(own, tmp_path)
    process(images.jpeg())

    def held() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (os.getpid(), own.zygote_pid))

    before = held()
    for _ in range(20):
        process(images.jpeg(64, 48))
    eventually(lambda: held() == before)


@linux_only
def test_a_zygote_with_a_second_thread_refuses_to_fork():
    code = (
        "import threading, workers.processing.zygote as zygote\n"
        "zygote.assert_single_threaded()\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "zygote.assert_single_threaded()\n"
    )
    environment = {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True, env=environment
    )
    assert done.stderr.count("RuntimeError: the zygote has more than one thread") == 1
    assert "line 4" in done.stderr


def test_the_worker_process_never_loads_a_decoder():
    code = (
        "import sys, workers.processing.sandbox, workers.processing.results, workers.processing.limits\n"
        "print(sorted({'PIL', 'pyvips', 'pi_heif', 'numpy', 'thash'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
