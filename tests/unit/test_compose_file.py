"""docker-compose.yml and what it reads hang together. No engine is asked: this runs everywhere."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from media_service.broker.messages import Lane
from media_service.cli import WORKER_GRACE_SECONDS, _api_seconds_to_end
from media_service.config import load_settings
from tests.support.backends import make_settings
from workers.config import WorkerSettings, load_worker_settings

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {f"MEDIA_{name.upper()}" for name in WorkerSettings.model_fields}
OURS = {"media-service-api": "api", "media-service-worker": "worker"}


@cache
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def env_file(name: str) -> dict[str, str]:
    lines = (ROOT / "infra" / "compose" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def named_volumes(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", []):
        source, colon, _ = volume.partition(":")
        if colon and not source.startswith("."):
            yield source


@pytest.fixture(params=services())
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    return services()[request.param]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """infra/compose after `init`."""
    folder = shutil.copytree(
        ROOT / "infra" / "compose",
        tmp_path / "compose",
        ignore=shutil.ignore_patterns("secrets", "media.env"),
    )
    subprocess.run([folder / "init"], check=True, capture_output=True)
    return folder


def test_every_setting_is_one(service: dict[str, Any]):
    for name in service.get("environment", {}):
        assert not name.startswith("MEDIA_") or name in KNOWN
    assert {name for name in env_file("s3.env") if name.startswith("MEDIA_")} <= KNOWN


def test_settings_of_the_s3_profile_reach_the_service():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in env_file("s3.env"):
        assert name == "COMPOSE_PROFILES" or f"{name}: ${{{name}" in text


def test_nothing_is_used_that_is_not_defined_and_nothing_is_defined_in_vain():
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set()}
    for service in services().values():
        used["volumes"] |= set(named_volumes(service))
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", []))
    for kind, names in used.items():
        assert set(compose()[kind]) == names


def test_start_has_an_order():
    graph = {name: set(service.get("depends_on", {})) for name, service in services().items()}
    assert set(TopologicalSorter(graph).static_order()) == set(services())


def test_dependency_can_become_what_is_waited_for(service: dict[str, Any]):
    for name, wanted in service.get("depends_on", {}).items():
        other = services()[name]
        if wanted["condition"] == "service_healthy":
            assert "test" in other["healthcheck"]
        else:
            assert (wanted["condition"], other["restart"]) == ("service_completed_successfully", "no")
        # Whoever has no profile starts without those who have one.
        assert wanted.get("required", True) is not bool(other.get("profiles")) or service.get("profiles")


def test_command_exists(service: dict[str, Any]):
    if service["image"] not in OURS:
        return
    assert service["build"] == {"context": ".", "target": OURS[service["image"]]}
    match service.get("command"):
        case ["python", "-m", module, *_]:
            assert find_spec(module) is not None
        case ["python", script]:
            assert f"./infra/compose/{script}:/app/{script}:ro" in service["volumes"]
        case other:
            assert other is None


def test_mounted_file_of_the_checkout_exists(service: dict[str, Any]):
    for volume in service.get("volumes", []):
        if volume.startswith("."):
            source, _, rest = volume.partition(":")
            assert (ROOT / source).exists()
            assert rest.endswith(":ro")


def test_container_gains_nothing_and_is_bounded(service: dict[str, Any]):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["restart"] in {"unless-stopped", "no"}
    assert "healthcheck" in service
    assert "privileged" not in service
    if service["image"] in OURS:
        assert service["init"] is True
        assert "cap_add" not in service


def test_only_the_proxy_and_the_optional_servers_listen_outside():
    assert {name for name, service in services().items() if "ports" in service} == {
        "nginx",
        "s3",
        "prometheus",
    }


def test_database_broker_and_workers_have_no_way_out():
    assert compose()["networks"]["data"]["internal"] is True
    for name in ("postgres", "valkey", "worker", "worker-uploads", "worker-render", "dispatcher", "migrate"):
        assert services()[name]["networks"] == ["data"]


def test_stop_outlasts_what_the_service_needs_for_it():
    api = _api_seconds_to_end(make_settings({}))
    assert seconds(services()["api"]["stop_grace_period"]) > api
    assert seconds(services()["nginx"]["stop_grace_period"]) > api
    for name in ("worker", "worker-uploads", "worker-render"):
        assert seconds(services()[name]["stop_grace_period"]) > WORKER_GRACE_SECONDS
    units = ROOT / "infra" / "systemd"
    for unit, needed in (("api", api), ("worker@", WORKER_GRACE_SECONDS)):
        text = (units / f"media-service-{unit}.service").read_text()
        assert int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]) > needed  # type: ignore[index]


def test_every_lane_is_served():
    lanes: set[str] = set()
    for name, service in services().items():
        if name.startswith("worker"):
            lanes |= set(service["environment"].get("MEDIA_WORKER_LANES", ",".join(Lane)).split(","))
    assert lanes == set(Lane)


def test_init_makes_every_secret_and_changes_none(made: Path):
    secrets = {path.name: path.read_text() for path in (made / "secrets").iterdir()}
    for name, secret in compose()["secrets"].items():
        assert secret == {"file": f"infra/compose/secrets/{name}"}
        assert secrets[name].strip()
    (made / "media.env").write_text("MEDIA_PUBLIC_URL=https://media.example.org\n")
    again = subprocess.run([made / "init"], check=True, capture_output=True, text=True)
    assert {path.name: path.read_text() for path in (made / "secrets").iterdir()} == secrets
    assert (made / "media.env").read_text() == "MEDIA_PUBLIC_URL=https://media.example.org\n"
    assert again.stdout.strip().endswith(secrets["media_admin_api_key"])


def test_secrets_are_open_to_containers_and_closed_to_others(made: Path):
    assert (made / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (made / "secrets").iterdir()} == {0o444}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/infra/compose/secrets/", "/infra/compose/media.env"} <= set(ignored)


@pytest.mark.parametrize("more", [{}, env_file("s3.env")], ids=["local", "s3"])
@pytest.mark.parametrize("name", [name for name, service in services().items() if service["image"] in OURS])
def test_service_starts_with_its_environment(
    made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, more: dict[str, str]
):
    monkeypatch.chdir(tmp_path)
    service = services()[name]
    seen = tmp_path / "run-secrets"
    seen.mkdir()
    for secret in service["secrets"]:
        shutil.copy(made / "secrets" / secret, seen / secret)
    if name == "s3-bucket" and not more:
        return  # not without its profile
    for variable, value in {**env_file_of(made), **service["environment"]}.items():
        monkeypatch.setenv(variable, interpolated(str(value), more))
    monkeypatch.setenv("MEDIA_SECRETS_DIR", str(seen))
    load = load_worker_settings if service["image"] == "media-service-worker" else load_settings
    settings = load()
    assert settings.effective_database_url.startswith("postgresql://media:")
    assert settings.effective_redis_url.startswith("redis://:")
    assert settings.storage == ("s3" if more else "local")


def env_file_of(made: Path) -> dict[str, str]:
    lines = (made / "media.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str, given: dict[str, str]) -> str:
    """As compose does it: with `:-` the default also stands for what is empty."""

    def replace(match: re.Match[str]) -> str:
        name, operator, default = match.groups()
        value = given.get(name)
        return default if value is None or (operator == ":-" and not value) else value

    return re.sub(r"\$\{(\w+)(:?-)([^}]*)\}", replace, text)
