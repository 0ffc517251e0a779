"""The way from an empty database to the newest schema and back, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text

from media_service import migrations
from media_service.dialects import sync_url
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.main import create_app
from media_service.tables import Base
from tests.support.backends import make_settings

PROJECT_ROOT = Path(__file__).resolve().parents[2]
USER_ID = "019abc1234567def8123456789abcdef"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("postgres").create_database()
    return url


def tables(url: str) -> set[str]:
    engine = create_engine(sync_url(url))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_upgrade_from_empty_makes_every_table(empty_url: str):
    assert migrations.current_revision(empty_url) is None
    migrations.upgrade(empty_url)
    assert migrations.current_revision(empty_url) == migrations.newest_revision()
    assert tables(empty_url) == {*Base.metadata.tables, "alembic_version"}


def test_models_ask_for_no_other_schema(empty_url: str):
    migrations.upgrade(empty_url)
    migrations.check_models(empty_url)


def test_upgrade_of_the_newest_schema_does_nothing(empty_url: str):
    migrations.upgrade(empty_url)
    migrations.upgrade(empty_url)
    migrations.require_newest(empty_url)


def test_downgrade_to_base_leaves_nothing_and_the_way_up_is_open_again(empty_url: str):
    migrations.upgrade(empty_url)
    command.downgrade(migrations._config(empty_url), "base")
    assert tables(empty_url) == {"alembic_version"}
    assert migrations.current_revision(empty_url) is None
    migrations.upgrade(empty_url)
    migrations.check_models(empty_url)


def test_database_without_a_schema_is_refused_in_one_line(empty_url: str):
    with pytest.raises(MediaServiceError) as caught:
        migrations.require_newest(empty_url)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.CONFLICT, "old-schema")
    assert "\n" not in str(caught.value)
    assert "migrate" in str(caught.value)


async def start_and_stop(url: str, data_dir: Path) -> None:
    app = create_app(make_settings({"database_url": url, "data_dir": data_dir}))
    async with app.router.lifespan_context(app):
        pass


@pytest.mark.anyio
async def test_api_does_not_start_on_an_old_schema(empty_url: str, tmp_path: Path):
    with pytest.raises(MediaServiceError) as caught:
        await start_and_stop(empty_url, tmp_path)
    assert caught.value.code == "old-schema"


def run_cli(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_")}
    return subprocess.run(
        [sys.executable, "-m", "media_service.cli", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(PROJECT_ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_line_refuses_the_old_schema_migrates_checks_and_rotates(empty_url: str, tmp_path: Path):
    settings = {"MEDIA_DATABASE_URL": empty_url, "MEDIA_DATA_DIR": str(tmp_path / "data")}
    refused = run_cli("serve", cwd=tmp_path, **settings)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("media-service: ")
    assert "migrate" in line
    migrated = run_cli("migrate", "--check", cwd=tmp_path, **settings)
    assert migrated.returncode == 0, migrated.stderr
    assert migrations.newest_revision() in migrated.stdout
    rotated = run_cli("rotate-token-key", "--revoke-old", cwd=tmp_path, **settings)
    assert rotated.returncode == 0, rotated.stderr
    engine = create_engine(sync_url(empty_url))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM token_keys")).scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:////nonexistent/folder/x.db", "postgresql://u@/x?host=/nonexistent"])
def test_database_that_cannot_be_reached_is_one_clear_line(url: str, tmp_path: Path):
    settings = {"MEDIA_DATABASE_URL": url, "MEDIA_DATA_DIR": str(tmp_path / "data")}
    failed = run_cli("migrate", cwd=tmp_path, **settings)
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert "Traceback" not in failed.stderr


def test_users_and_keys_of_before_keep_their_lives_with_accounts(empty_url: str):
    command.upgrade(migrations._config(empty_url), "0005")
    engine = create_engine(sync_url(empty_url))
    made_at = "2026-01-02 03:04:05.000006+00:00"
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO users (id, role, created_at) VALUES (:id, 'admin', :at)"),
            {"id": USER_ID, "at": made_at},
        )
        connection.execute(
            text(
                "INSERT INTO api_keys (id, owner_id, name, prefix, key_sha256, scopes, origin, created_at)"
                " VALUES (:id, :id, 'x', 'x', 'x', '[]', 'generated', :at)"
            ),
            {"id": USER_ID, "at": made_at},
        )
    migrations.upgrade(empty_url)
    with engine.connect() as connection:
        users = connection.execute(text("SELECT updated_at = created_at, email FROM users")).all()
        keys = connection.execute(text("SELECT last_used_at FROM api_keys")).all()
    command.downgrade(migrations._config(empty_url), "0005")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM api_keys")).scalar() == 1
    engine.dispose()
    assert [tuple(row) for row in users] == [(True, None)]
    assert [tuple(row) for row in keys] == [(None,)]
