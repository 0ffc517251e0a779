"""The files of infra/ are read by the programs that they are for, without a complaint."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import nginx_server
from tests.support.service import PROJECT_ROOT

pytestmark = pytest.mark.deployment

UNITS = PROJECT_ROOT / "infra" / "systemd"
MAX_EXPOSURE = 15
"""Of 100, as `systemd-analyze security` counts; what it has left is the network, which the service is for."""

SELF_SIGNED = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=media.example.org")


def test_configuration_of_compose_is_one(tmp_path: Path):
    installed = nginx_server.install(tmp_path)
    text = (PROJECT_ROOT / "infra/compose/nginx/nginx.conf").read_text()
    text = text.replace("/tmp/", f"{tmp_path}/").replace(nginx_server.INSTALLED, str(installed))
    if nginx_server.version() < (1, 27, 3):  # the first free one that can look a name up again
        text = text.replace("server api:8000 resolve;", "server 127.0.0.1:8000;")
        text = text.replace("resolver 127.0.0.11 valid=5s ipv6=off;", "")
    (tmp_path / "nginx.conf").write_text(text)
    assert nginx_server.check(tmp_path / "nginx.conf") == ""


def test_site_of_a_host_is_one(tmp_path: Path):
    installed = nginx_server.install(tmp_path)
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    subprocess.run(
        [shutil.which("openssl") or "openssl", *SELF_SIGNED, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    site = (installed / "site.conf").read_text()
    site = site.replace("/etc/letsencrypt/live/media.example.org", str(tmp_path))
    for folder in ("/var/cache/nginx", "/var/log/nginx"):
        site = site.replace(folder, str(tmp_path))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{site}\n}}\n"
    )
    said = nginx_server.check(tmp_path / "nginx.conf")
    # Newer ones want a directive that the one of Debian 12 does not know.
    assert all("http2" in line and "deprecated" in line for line in said.splitlines())


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units as they are installed, but for their programs, which must exist."""
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for name in ("python", "gunicorn"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    found = [path for path in tmp_path.iterdir() if path.suffix in {".service", ".target"}]
    for unit in found:
        unit.write_text(unit.read_text().replace("/opt/media-service/.venv/bin", str(tmp_path)))
    return sorted(found)


def analyze(*arguments: str) -> str:
    argv = [shutil.which("systemd-analyze") or "systemd-analyze", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_units_are_ones(units: list[Path]):
    assert len(units) == 5
    assert analyze("verify", "--man=no", *map(str, units)) == ""


def test_units_leave_little_to_whoever_breaks_in(units: list[Path]):
    for unit in units:
        if unit.suffix == ".service":
            analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", str(unit))


def test_every_service_is_hardened():
    for unit in UNITS.glob("*.service"):
        drop_in = UNITS / f"{unit.name}.d" / "hardening.conf"
        assert drop_in.readlink() == Path("../hardening.conf")
