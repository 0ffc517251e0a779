"""What goes into the images, seen from the files that they are built of."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DECODERS = {
    "av", "imageio", "imageio-ffmpeg", "numpy", "opencv-python", "opencv-python-headless", "pi-heif",
    "pillow", "pillow-heif", "pymupdf", "pypdfium2", "pyvips", "pyvips-binary", "thash", "wand",
}  # fmt: skip


def locked(name: str) -> dict[str, str]:
    """Name and version of every distribution of a lock file."""
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {part.split(" AS ")[1].split("\n")[0]: part for part in parts}


def test_api_has_no_decoder():
    assert set(locked("api.txt")).isdisjoint(DECODERS)
    assert "worker" not in stages()["api"]
    assert "requirements/api.txt" in stages()["api-packages"]


def test_worker_has_them():
    assert {"pillow", "pyvips", "pi-heif"} <= set(locked("worker.txt"))


@pytest.mark.parametrize("name", ["api.txt", "worker.txt"])
def test_every_distribution_is_pinned_by_its_hashes(name: str):
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"\n(?=\S)", text)
    assert len(entries) >= len(locked(name)) > 30
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_both_images_have_the_same_versions_and_those_of_the_tests():
    api, worker, dev = locked("api.txt"), locked("worker.txt"), locked("dev.txt")
    assert all(worker.get(name, version) == version for name, version in api.items())
    assert all(dev.get(name, version) == version for name, version in {**worker, **api}.items())


@pytest.mark.parametrize("stage", ["api", "worker"])
def test_image_runs_as_a_user_without_a_name_to_look_up(stage: str):
    assert re.search(r"^USER \d{4,}:\d{4,}$", stages()[stage], re.MULTILINE)
    assert "HEALTHCHECK" in stages()[stage]
    assert re.search(r'^CMD \["', stages()[stage], re.MULTILINE)


def test_packages_come_by_their_hashes_only():
    installs = re.findall(r"^RUN pip .*", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 2
    assert all("--require-hashes" in line and "--no-deps" in line for line in installs)


def test_everything_that_is_copied_exists_and_is_in_the_context():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(source == path or source.startswith(f"{path}/") for path in allowed)
