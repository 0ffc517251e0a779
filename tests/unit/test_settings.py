"""Settings: what stops the start, in one line that names the setting and shows no secret."""

import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from media_service import cli, config
from media_service.broker.messages import Lane
from media_service.config import Settings, exposed_env_file, load_settings
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.window import Limit
from workers.config import WorkerSettings, load_worker_settings

Setter = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Setter:
    """`environment(MEDIA_X=...)` sets variables, in a folder without a `.env`."""
    monkeypatch.chdir(tmp_path)

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def refusal(load: Callable[[], object] = load_settings) -> str:
    with pytest.raises(MediaServiceError) as caught:
        load()
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "bad-settings")
    assert "\n" not in caught.value.detail
    return caught.value.detail


def test_proxy_can_send_objects_of_a_local_storage_only(environment: Setter):
    environment(MEDIA_ACCEL_REDIRECT_PREFIX="/_media/")
    assert load_settings().accel_redirect_prefix == "/_media/"
    environment(MEDIA_STORAGE="s3", MEDIA_S3_BUCKET="media")
    assert "MEDIA_ACCEL_REDIRECT_PREFIX" in refusal()


def test_defaults_need_no_environment(environment: Setter):
    settings = load_settings()
    assert (settings.host, settings.port, settings.storage) == ("127.0.0.1", 8000, "local")
    assert settings.base_url == "http://localhost:8000"
    assert settings.max_file_size == 5 * 1024**3
    assert settings.allowed_types == ("*/*",)
    assert settings.effective_database_url == f"sqlite:///{Path('data').resolve()}/media.db"
    assert settings.effective_broker_url == settings.effective_redis_url
    assert [preset.name for preset in settings.presets] == ["thumb", "small", "large"]


def test_settings_are_read_from_the_environment(environment: Setter):
    environment(
        MEDIA_PORT="9000",
        MEDIA_PUBLIC_URL="https://media.example/base/",
        MEDIA_ALLOWED_TYPES="Image/PNG, video/*",
        MEDIA_JOB_LEASE="PT30S",
        MEDIA_RATE_LIMIT_LOGIN="5 per 10 seconds",
        MEDIA_RATE_LIMIT_READ="off",
        MEDIA_CORS_ORIGINS="https://app.example.org, http://localhost:5173,capacitor://localhost",
        MEDIA_PRESETS='[{"name": "tiny", "width_px": 10, "height_px": 10}]',
    )
    settings = load_settings()
    assert settings.port == 9000
    assert settings.base_url == "https://media.example/base"
    assert settings.allowed_types == ("image/png", "video/*")
    assert settings.job_lease == timedelta(seconds=30)
    assert settings.rate_limit_login == Limit(5, 10)
    assert settings.rate_limit_read is None
    assert settings.cors_origins == (
        "https://app.example.org",
        "http://localhost:5173",
        "capacitor://localhost",
    )
    assert settings.presets[0].name == "tiny"


def test_settings_are_read_from_a_file_and_the_environment_wins(environment: Setter, tmp_path: Path):
    (tmp_path / config.ENV_FILE).write_text("MEDIA_PORT=1111\nMEDIA_HOST=0.0.0.0\nOTHER=x\n")
    environment(MEDIA_PORT="2222")
    settings = load_settings()
    assert (settings.port, settings.host) == (2222, "0.0.0.0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEDIA_PORT", "x"),
        ("MEDIA_PORT", "0"),
        ("MEDIA_PORT", "65536"),
        ("MEDIA_PUBLIC_URL", "media.example"),
        ("MEDIA_DATABASE_URL", "mysql://x/y"),
        ("MEDIA_DATABASE_URL", "nonsense"),
        ("MEDIA_STORAGE", "ftp"),
        ("MEDIA_STORAGE", "s3"),
        ("MEDIA_S3_PUBLIC_ENDPOINT_URL", "https://s3.example"),
        ("MEDIA_MAX_FILE_SIZE", "0"),
        ("MEDIA_ALLOWED_TYPES", ","),
        ("MEDIA_ALLOWED_TYPES", "image"),
        ("MEDIA_ALLOWED_TYPES", "image/"),
        ("MEDIA_ADMIN_API_KEY", "short"),
        ("MEDIA_ADMIN_API_KEY", "with a space in a long key"),
        ("MEDIA_ADMIN_API_KEY", "ключ-ключ-ключ-ключ-ключ"),
        ("MEDIA_CORS_ORIGINS", "*,https://app.example.org"),
        ("MEDIA_CORS_ORIGINS", "app.example.org"),
        ("MEDIA_CORS_ORIGINS", "https://app.example.org/"),
        ("MEDIA_CORS_ORIGINS", "https://app.example.org/path"),
        ("MEDIA_CORS_ORIGINS", "https://App.example.org"),
        ("MEDIA_CORS_ORIGINS", "https://app.example.org:443"),
        ("MEDIA_CORS_ORIGINS", "https://*.example.org"),
        ("MEDIA_CORS_ORIGINS", "null"),
        ("MEDIA_TRUSTED_PROXIES", "*"),
        ("MEDIA_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("MEDIA_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("MEDIA_TRUSTED_PROXIES", "127.0.0.1,proxy.example.org"),
        ("MEDIA_ACCEL_REDIRECT_PREFIX", "_media/"),
        ("MEDIA_ACCEL_REDIRECT_PREFIX", "/_media"),
        ("MEDIA_ACCEL_REDIRECT_PREFIX", "/"),
        ("MEDIA_ACCEL_REDIRECT_PREFIX", "/../"),
        ("MEDIA_ADMIN_API_KEY", "changeme-changeme-please-0"),
        ("MEDIA_ADMIN_API_KEY", "Change-Me_0123-4f6d1a9c2e"),
        ("MEDIA_ADMIN_API_KEY", "your-api-key-goes-here-now"),
        ("MEDIA_ADMIN_API_KEY", "my-password-is-this-one"),
        ("MEDIA_ADMIN_API_KEY", "$(openssl rand -hex 24)"),
        ("MEDIA_ADMIN_API_KEY", "aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("MEDIA_ADMIN_API_KEY", "abcabcabcabcabcabcabcabc"),
        ("MEDIA_ADMIN_API_KEY", "f81b3c9ea0f81b3c9ea0"),
        ("MEDIA_ADMIN_API_KEY", "eyJ-looks.like-an-access.token"),
        ("MEDIA_ADMIN_API_KEY", "mut_4f6d1a9c_f81b3c9ea07d25"),
        ("MEDIA_ACCESS_TOKEN_TTL", "P2D"),
        ("MEDIA_PASSWORD_THREADS", "0"),
        ("MEDIA_PASSWORD_QUEUE", "0"),
        ("MEDIA_RATE_LIMIT_READ", "many"),
        ("MEDIA_RATE_LIMIT_LOGIN", "0/minute"),
        ("MEDIA_RATE_LIMIT_UPLOAD", "1/second;10/minute"),
        ("MEDIA_RATE_LIMIT_PATIENCE", "0"),
        ("MEDIA_LOG_LEVEL", "loud"),
        ("MEDIA_PRESETS", "[]]"),
        ("MEDIA_PRESETS", '[{"name": "A", "width_px": 1, "height_px": 1}]'),
        ("MEDIA_LANE_WINDOW", "0"),
        ("MEDIA_JOB_LEASE", "0"),
        ("MEDIA_JOB_LEASE", "-1"),
        ("MEDIA_JOB_LEASE", "soon"),
        ("MEDIA_JOB_LEASE", "1e99"),
    ],
)
def test_setting_that_cannot_work_is_one_line_that_names_it(environment: Setter, name: str, value: str):
    environment(**{name: value})
    line = refusal()
    assert name in line or name.removeprefix("MEDIA_").lower() in line
    if len(value) > 6 and name == "MEDIA_ADMIN_API_KEY":
        assert value not in line


@pytest.mark.parametrize(("value", "seconds"), [("30", 30), ("0.5", 0.5), ("PT2S", 2), ("00:01:00", 60)])
def test_duration_may_be_a_number_of_seconds(environment: Setter, value: str, seconds: float):
    environment(MEDIA_JOB_LEASE=value)
    assert timedelta(seconds=seconds) == load_settings().job_lease


def test_setting_that_was_left_empty_is_as_if_it_were_not_there(environment: Setter):
    environment(MEDIA_ALLOWED_TYPES="", MEDIA_S3_BUCKET="", MEDIA_PUBLIC_URL="")
    assert load_settings().allowed_types == ("*/*",)


def test_two_presets_of_one_name_are_refused(environment: Setter):
    preset = '{"name": "a", "width_px": 1, "height_px": 1}'
    environment(MEDIA_PRESETS=f"[{preset}, {preset}]")
    assert "same name" in refusal()


@pytest.mark.parametrize("name", ["MEDIA_POTR", "MEDIA_", "media_unknown"])
def test_unknown_setting_stops_the_start(environment: Setter, name: str):
    environment(**{name: "1"})
    assert name.upper() in refusal()


def test_unknown_setting_in_the_file_stops_the_start(environment: Setter, tmp_path: Path):
    (tmp_path / ".env").write_text("MEDIA_POTR=1\n")
    assert "MEDIA_POTR" in refusal()


def test_setting_of_the_workers_is_theirs_to_judge(environment: Setter):
    environment(MEDIA_WORKER_CONCURRENCY="0")
    assert isinstance(load_settings(), Settings)
    assert "MEDIA_WORKER_CONCURRENCY" in refusal(load_worker_settings)


def test_unknown_setting_of_the_workers_stops_them(environment: Setter):
    environment(MEDIA_WORKER_CONCURENCY="2")
    assert "MEDIA_WORKER_CONCURENCY" in refusal(load_worker_settings)


def test_workers_have_all_settings_of_the_service(environment: Setter):
    environment(MEDIA_PORT="9000", MEDIA_WORKER_CONCURRENCY="3")
    settings = load_worker_settings()
    assert isinstance(settings, WorkerSettings)
    assert (settings.port, settings.worker_concurrency) == (9000, 3)


def test_worker_serves_all_lanes_or_those_that_it_is_given(environment: Setter):
    assert load_worker_settings().worker_lanes == tuple(Lane)
    environment(MEDIA_WORKER_LANES="housekeeping, uploads")
    assert load_worker_settings().worker_lanes == (Lane.HOUSEKEEPING, Lane.UPLOADS)


@pytest.mark.parametrize("value", ["uplaods", "uploads,other", ","])
def test_lanes_that_are_none_stop_the_worker(environment: Setter, value: str):
    environment(MEDIA_WORKER_LANES=value)
    assert "MEDIA_WORKER_LANES" in refusal(load_worker_settings)


def test_secret_is_not_shown_by_its_settings(environment: Setter):
    environment(MEDIA_ADMIN_API_KEY="a-long-key-of-an-administrator")
    assert "administrator" not in repr(load_settings())


def test_files_of_the_secrets_folder_are_settings_that_the_environment_beats(
    environment: Setter, tmp_path: Path
):
    (tmp_path / "media_database_url").write_text("postgresql://media:secret@db/media\n")
    (tmp_path / "MEDIA_PORT").write_text("1111")
    (tmp_path / "somebody_elses").write_text("x")
    environment(MEDIA_SECRETS_DIR=str(tmp_path), MEDIA_PORT="2222")
    settings = load_settings()
    assert (settings.database_url, settings.port) == ("postgresql://media:secret@db/media", 2222)


def test_secrets_folder_may_be_named_in_the_file(environment: Setter, tmp_path: Path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "MEDIA_PORT").write_text("3333")
    (tmp_path / config.ENV_FILE).write_text(f"MEDIA_SECRETS_DIR={folder}\n")
    assert load_settings().port == 3333


def test_unknown_name_in_the_secrets_folder_stops_the_start(environment: Setter, tmp_path: Path):
    (tmp_path / "media_databse_url").touch()
    environment(MEDIA_SECRETS_DIR=str(tmp_path))
    assert "MEDIA_DATABSE_URL" in refusal()


def test_secrets_folder_that_is_not_there_stops_the_start(environment: Setter, tmp_path: Path):
    environment(MEDIA_SECRETS_DIR=str(tmp_path / "none"))
    assert "MEDIA_SECRETS_DIR" in refusal()


def test_secret_that_is_no_text_stops_the_start(environment: Setter, tmp_path: Path):
    (tmp_path / "media_database_url").write_bytes(b"\xff\xfe")
    environment(MEDIA_SECRETS_DIR=str(tmp_path))
    assert "database_url" in refusal()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_file_that_others_can_read_or_change_is_found(environment: Setter, tmp_path: Path, mode: int):
    (tmp_path / ".env").touch()
    (tmp_path / ".env").chmod(mode)
    assert exposed_env_file() == f"{mode:04o}"


def test_file_of_its_owner_alone_or_none_is_well(environment: Setter, tmp_path: Path):
    assert exposed_env_file() is None
    (tmp_path / ".env").touch(mode=0o600)
    assert exposed_env_file() is None


def test_start_warns_of_an_exposed_file_in_one_line(environment: Setter, tmp_path: Path):
    (tmp_path / ".env").write_text("MEDIA_PORT=8001\n")
    (tmp_path / ".env").chmod(0o644)
    with capture_logs() as lines:
        cli._warn_about_env_file()
    assert [(line["event"], line["mode"], line["cure"]) for line in lines] == [
        ("settings.env_file_exposed", "0644", "chmod 600 .env")
    ]


@pytest.mark.parametrize("size_bytes", [10, 16, 24, 32])
def test_random_key_is_taken(environment: Setter, size_bytes: int):
    for _ in range(200):
        environment(MEDIA_ADMIN_API_KEY=secrets.token_urlsafe(size_bytes) + secrets.token_hex(8))
        assert load_settings().admin_api_key is not None


def test_example_file_names_every_setting_and_no_other():
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    named = set(re.findall(r"^#(MEDIA_\w+)=", example, re.MULTILINE))
    assert named == {f"MEDIA_{name.upper()}" for name in WorkerSettings.model_fields}


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEDIA_REDIS_URL", "http://x"), ("MEDIA_BROKER_URL", "foo://x"), ("MEDIA_DATABASE_URL", "mysql://x/y")],
)
def test_address_of_an_unknown_kind_stops_the_start(environment: Setter, name: str, value: str):
    environment(**{name: value})
    assert "begin" in refusal() or "starts with" in refusal()


def test_lists_separated_by_commas_are_read_by_workers_as_by_the_api(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEDIA_ALLOWED_TYPES", "image/*,video/mp4")
    monkeypatch.setenv("MEDIA_IMAGE_AUTO_FORMATS", "webp")
    monkeypatch.setenv("MEDIA_WORKER_LANES", "render, uploads")
    for settings in (Settings(_env_file=None), WorkerSettings(_env_file=None)):
        assert settings.allowed_types == ("image/*", "video/mp4")
        assert settings.image_auto_formats == ("webp",)
    assert WorkerSettings(_env_file=None).worker_lanes == (Lane.RENDER, Lane.UPLOADS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEDIA_IMAGE_AUTO_FORMATS", "png"), ("MEDIA_WORKER_LANES", "nope"), ("MEDIA_WORKER_LANES", ",")],
)
def test_list_with_what_is_not_there_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(MediaServiceError, match=name):
        load_worker_settings()
