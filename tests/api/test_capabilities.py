"""What the service says of itself before anybody has a key."""

from datetime import timedelta
from uuid import uuid4

from media_service.broker.messages import Lane
from media_service.jobs.presence import enter
from tests.support.api_server import ApiServer
from tests.support.backends import Backend


def test_capabilities_need_no_credentials_and_name_types_limits_and_presets(server: ApiServer):
    answer = server.client.get("/v1/capabilities")
    assert answer.status_code == 200
    described = answer.json()
    assert described["uploads"] == {
        "max_file_size": 5 * 1024**3,
        "allowed_types": ["*/*"],
        "max_parts": 100,
    }
    assert described["registration"] is False
    images = described["images"]
    assert "image/heic" in images["source_types"]
    assert images["presets"][0] == {
        "name": "thumb",
        "width": 256,
        "height": 256,
        "fit": "inside",
        "content_type": "image/webp",
        "quality": 80,
    }
    assert {"auto", "avif", "webp"} <= set(images["formats"])
    assert (images["max_side_px"], images["quality_step"]) == (4096, 5)


def test_capabilities_tell_which_work_is_done_now(server: ApiServer, clean_backend: Backend):
    def engines() -> dict[str, bool]:
        described = server.client.get("/v1/capabilities").json()
        return {engine["name"]: engine["available"] for engine in described["engines"]}

    assert engines() == {"renditions": False, "images-on-the-fly": False, "backfill": False}
    for lanes, expected in (
        ([Lane.RENDER.value], {"renditions": False, "images-on-the-fly": True, "backfill": False}),
        ([], {"renditions": True, "images-on-the-fly": True, "backfill": True}),
    ):
        entering = enter(uuid4(), host="h", missing_layers=[], lease=timedelta(minutes=1), lanes=lanes)
        with clean_backend.database.transaction() as session:
            session.execute(entering)
        assert engines() == expected
        workers = server.client.get("/readyz").json()["checks"]["workers"]
        assert workers == ("ok" if expected["renditions"] else "unavailable")
