"""Images on the fly as clients see them: who may have which, what is made once, what is said of the rest."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from PIL import Image

from media_service.models import new_id, utc_now
from media_service.storage.keys import renditions_prefix
from media_service.transforms.models import Transform
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.darkroom import Darkroom, darkroom
from tests.support.problems import assert_problem
from tests.support.workshop import Workshop

PHOTO = images.jpeg(640, 480)


@pytest.fixture
def room(server: ApiServer, workshop: Workshop) -> Iterator[Darkroom]:
    with darkroom(workshop, server) as room:
        yield room


def upload(
    server: ApiServer,
    owner: Owner,
    data: bytes = PHOTO,
    *,
    visibility: str = "private",
    name: str = "cat.jpg",
) -> str:
    answer = server.client.post(
        "/v1/files", headers=owner.headers, files={"file": (name, data)}, data={"visibility": visibility}
    )
    file_id: str = answer.json()["items"][0]["id"]
    return file_id


def get(
    server: ApiServer, file_id: object, options: str, headers: dict[str, str] | None = None
) -> httpx2.Response:
    return server.client.get(f"/v1/images/{file_id}/{options}", headers=headers)


def sign(server: ApiServer, owner: Owner, file_id: str, options: str, **body: Any) -> str:
    answer = server.client.post(
        f"/v1/files/{file_id}/image-url", headers=owner.headers, json={"options": options, **body}
    )
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def changed(url: str, **changes: str | None) -> str:
    """The URL with query parameters set anew, or taken out."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changes}
    kept = {name: value for name, value in query.items() if value is not None}
    return parts._replace(query=urlencode(kept)).geturl()


def opened(answer: httpx2.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


# --- making and keeping ---------------------------------------------------------------------------------


def test_image_is_made_stored_and_served_again_without_a_worker(
    server: ApiServer, owner: Owner, room: Darkroom, clean_backend: Backend
):
    file_id = upload(server, owner)
    first = get(server, file_id, "w_320,h_100,fit_cover,f_webp", owner.headers)
    picture = opened(first)
    assert (picture.format, picture.size) == ("WEBP", (320, 100))
    assert first.headers["Content-Type"] == "image/webp"
    assert first.headers["Content-Disposition"] == 'inline; filename="cat.webp"'
    assert "render;dur=" in first.headers["Server-Timing"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    [row] = clean_backend.rows(Transform)
    assert (row.options, row.size_bytes) == ("w_320,h_100,fit_cover,q_80,f_webp", len(first.content))
    assert row.key is not None
    assert row.key.startswith(renditions_prefix(row.file_id))
    assert clean_backend.read(row.key) == first.content

    room.is_full = room.is_deaf = True
    again = get(server, file_id, "f_webp,fit_cover,h_50,dpr_2,w_160", owner.headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Server-Timing"].startswith("cache;desc=hit")
    assert (room.asked, room.sandbox.edits) == (1, 1)


def test_hundred_first_requests_in_two_processes_are_one_computation(
    server: ApiServer, owner: Owner, workshop: Workshop, clean_backend: Backend
):
    file_id = upload(server, owner)
    with (
        ApiServer(clean_backend.settings) as other,
        darkroom(workshop, server, other, pause_seconds=0.2) as room,
        ThreadPoolExecutor(100) as clients,
    ):
        answers = list(
            clients.map(
                lambda number: get((server, other)[number % 2], file_id, "w_100,f_jpeg", owner.headers),
                range(100),
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert room.sandbox.edits == 1
    assert room.asked == 1


def test_head_conditions_and_ranges_are_those_of_any_file(server: ApiServer, owner: Owner, room: Darkroom):
    file_id = upload(server, owner)
    whole = get(server, file_id, "w_100", owner.headers)
    path = f"/v1/images/{file_id}/w_100"
    head = server.client.head(path, headers=owner.headers)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(whole.content)))
    part = get(server, file_id, "w_100", owner.headers | {"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    same = get(server, file_id, "w_100", owner.headers | {"If-None-Match": whole.headers["ETag"]})
    assert (same.status_code, same.headers["Vary"]) == (304, "Accept")
    other = get(server, file_id, "w_100", owner.headers | {"If-Match": '"other"'})
    assert_problem(other, 412, "precondition-failed")
    beyond = get(server, file_id, "w_100", owner.headers | {"Range": "bytes=9999999-"})
    assert_problem(beyond, 416, "range-not-satisfiable")
    assert room.sandbox.edits == 1


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("image/avif,image/webp,*/*;q=0.8", "image/avif"),
        ("image/webp,*/*", "image/webp"),
        ("*/*", "image/jpeg"),
    ],
)
def test_auto_is_negotiated_and_says_so(
    server: ApiServer, owner: Owner, room: Darkroom, accept: str, content_type: str
):
    answer = get(server, upload(server, owner), "w_50", owner.headers | {"Accept": accept})
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (content_type, "Accept")


def test_format_that_was_named_does_not_vary(server: ApiServer, owner: Owner, room: Darkroom):
    answer = get(server, upload(server, owner), "w_50,f_png", owner.headers | {"Accept": "image/webp"})
    assert answer.headers["Content-Type"] == "image/png"
    assert "Vary" not in answer.headers


def test_preset_that_was_made_at_upload_needs_no_worker(
    server: ApiServer, owner: Owner, workshop: Workshop, room: Darkroom
):
    file_id = upload(server, owner)
    workshop.run_all()
    made = server.client.get(f"/v1/files/{file_id}/renditions/thumb/content", headers=owner.headers)
    answer = get(server, file_id, "p_thumb", owner.headers)
    assert (answer.content, answer.headers["ETag"]) == (made.content, made.headers["ETag"])
    assert room.asked == 0


def test_preset_that_is_not_there_yet_is_made(server: ApiServer, owner: Owner, room: Darkroom):
    picture = opened(get(server, upload(server, owner), "p_thumb", owner.headers))
    assert (picture.format, picture.size) == ("WEBP", (256, 192))


def test_small_image_is_made_of_a_rendition_and_a_large_one_of_the_original(
    server: ApiServer, owner: Owner, workshop: Workshop, clean_backend: Backend
):
    file_id = upload(server, owner, images.jpeg(2400, 1800, orientation=6))
    workshop.run_all()
    fetched: list[str] = []
    storage = clean_backend.storage

    class Watched:
        def download(self, key: str, path: Any) -> None:
            fetched.append(key.split("/", maxsplit=1)[0])
            storage.download(key, path)

        def __getattr__(self, name: str) -> Any:
            return getattr(storage, name)

    with workshop.with_storage(Watched()), darkroom(workshop, server):
        small = opened(get(server, file_id, "w_500,f_png", owner.headers))
        large = opened(get(server, file_id, "w_1500,f_png", owner.headers))
        turned = opened(get(server, file_id, "rotate_90,w_300,f_png", owner.headers))
    assert fetched == ["renditions", "originals", "renditions"]
    assert [small.size, large.size, turned.size] == [(500, 375), (1500, 1125), (300, 400)]
    red, green, blue = small.convert("RGB").getpixel((5, 5))  # type: ignore[misc]  # three bands
    assert red > 120 > max(green, blue)


def test_deleted_file_leaves_no_object_of_its_images(
    server: ApiServer, owner: Owner, workshop: Workshop, room: Darkroom, clean_backend: Backend
):
    ids = [upload(server, owner, images.jpeg(64, 48)) for _ in range(3)]
    for file_id in ids:
        for width in range(10, 50, 10):
            assert get(server, file_id, f"w_{width}", owner.headers).status_code == 200
    assert len(clean_backend.keys()) == 15
    for file_id in ids:
        server.client.delete(f"/v1/files/{file_id}", headers=owner.headers)
    workshop.run_all()
    assert clean_backend.keys() == set()
    assert clean_backend.rows(Transform) == []
    assert_problem(get(server, ids[0], "w_10", owner.headers), 404, "not-found")


def test_image_whose_bytes_are_lost_is_made_again(
    server: ApiServer, owner: Owner, room: Darkroom, clean_backend: Backend
):
    file_id = upload(server, owner)
    first = get(server, file_id, "w_60", owner.headers)
    [row] = clean_backend.rows(Transform)
    assert row.key is not None
    clean_backend.storage.delete([row.key])
    again = get(server, file_id, "w_60", owner.headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert room.sandbox.edits == 2


def test_animation_stays_one_on_request(server: ApiServer, owner: Owner, room: Darkroom):
    frames = [images.scene(80, 60).rotate(50 * number) for number in range(4)]
    data = images.encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=70)
    file_id = upload(server, owner, data, name="dance.gif")
    moving = opened(get(server, file_id, "w_40,frames_50", owner.headers | {"Accept": "image/webp"}))
    assert (moving.format, moving.n_frames) == ("WEBP", 4)  # type: ignore[attr-defined]  # animated
    still = opened(get(server, file_id, "w_40", owner.headers | {"Accept": "image/webp"}))
    assert getattr(still, "n_frames", 1) == 1


def test_watermark_is_an_image_of_the_same_owner(
    server: ApiServer, owner: Owner, stranger: Owner, room: Darkroom
):
    file_id = upload(server, owner)
    mine = upload(server, owner, images.encode(Image.new("RGB", (40, 40), "red"), "PNG"), name="m.png")
    theirs = upload(server, stranger, images.jpeg(8, 8), visibility="public")
    marked = opened(get(server, file_id, f"w_100,wm_{mine},wmgravity_center,f_png", owner.headers))
    assert marked.getpixel((50, 37)) == (255, 0, 0)
    for wrong in (theirs, new_id()):
        answer = get(server, file_id, f"w_100,wm_{wrong}", owner.headers)
        assert_problem(answer, 422, "no-such-watermark")


# --- who may --------------------------------------------------------------------------------------------


def test_private_file_is_for_its_owner_and_admins(
    server: ApiServer, owner: Owner, stranger: Owner, room: Darkroom, clean_backend: Backend
):
    file_id = upload(server, owner)
    for options in ("w_100", "p_thumb"):
        assert get(server, file_id, options, owner.headers).status_code == 200
        assert get(server, file_id, options, ADMIN).status_code == 200
        assert_problem(get(server, file_id, options, stranger.headers), 404, "not-found")
        assert_problem(get(server, file_id, options), 401, "missing-credentials")
        assert_problem(get(server, new_id(), options, owner.headers), 404, "not-found")
        assert_problem(get(server, new_id(), options), 401, "missing-credentials")
    bad = {"Authorization": "Bearer msk_00000000_unknown"}
    assert_problem(get(server, file_id, "w_100", bad), 401, "invalid-credentials")


def test_key_without_the_scope_to_read_is_refused(server: ApiServer, room: Darkroom, clean_backend: Backend):
    writer = clean_backend.add_owner(scopes=("files:write",))
    file_id = upload(server, writer)
    answer = get(server, file_id, "w_100", writer.headers)
    assert_problem(answer, 403, "missing-scope", scope="files:read")


def test_public_file_gives_presets_to_everybody_and_nothing_else(
    server: ApiServer, owner: Owner, stranger: Owner, room: Darkroom
):
    file_id = upload(server, owner, visibility="public")
    preset = get(server, file_id, "p_thumb")
    assert (preset.status_code, preset.headers["Cache-Control"]) == (200, "public, max-age=300")
    assert get(server, file_id, "p_thumb", stranger.headers).status_code == 200
    assert_problem(get(server, file_id, "w_256"), 401, "missing-credentials")
    assert_problem(get(server, file_id, "w_256", stranger.headers), 403, "signature-needed")
    assert room.asked == 1


def test_signed_url_opens_exactly_its_image_to_everybody(server: ApiServer, owner: Owner, room: Darkroom):
    file_id = upload(server, owner)
    before = utc_now()
    answer = server.client.post(
        f"/v1/files/{file_id}/image-url",
        headers=owner.headers,
        json={"options": "h_90,w_120,fit_cover,f_webp", "expires_in": 600},
    ).json()
    assert timedelta(seconds=595) < datetime.fromisoformat(answer["expires_at"]) - before
    url: str = answer["url"]
    assert url.startswith(f"{server.base_url}/v1/images/{file_id}/w_120,h_90,fit_cover,f_webp?exp=")
    image = server.client.get(url)
    assert opened(image).size == (120, 90)
    assert image.headers["Cache-Control"].startswith("public, max-age=5")
    assert image.headers["Cache-Control"].endswith(", immutable")
    # Another spelling of the same options is the same path to the signature.
    other = url.replace("w_120,h_90,fit_cover,f_webp", "f_webp,fit_cover,h_45,w_60,dpr_2")
    assert server.client.get(other).content == image.content
    assert room.sandbox.edits == 1


def test_url_for_a_year_may_be_kept_for_a_year(server: ApiServer, owner: Owner, room: Darkroom):
    url = sign(server, owner, upload(server, owner), "w_10", expires_in=31_536_000)
    header = server.client.get(url).headers["Cache-Control"]
    assert 31_535_900 < int(header.split("max-age=")[1].split(",")[0]) <= 31_536_000


def test_signed_url_that_was_changed_is_a_403_and_makes_nothing(
    server: ApiServer, owner: Owner, room: Darkroom
):
    file_id, other = upload(server, owner), upload(server, owner)
    url = sign(server, owner, file_id, "w_120")
    query = dict(parse_qsl(urlsplit(url).query))
    for bad in (
        url.replace("w_120", "w_121"),
        url.replace("w_120", "w_120,q_80"),
        url.replace(file_id, other),
        changed(url, exp=str(int(query["exp"]) + 1)),
        changed(url, exp="-1"),
        changed(url, exp="NaN"),
        changed(url, exp=None),
        changed(url, sig=query["sig"][:-2]),
        changed(url, sig=None),
        changed(url, sig="é"),
        changed(url, kid="00000000"),
        changed(url, kid=None),
        changed(url, more="x"),
        f"{server.base_url}/v1/images/{file_id}/w_120?sig=",
    ):
        assert_problem(server.client.get(bad), 403, "bad-signature")
        # A signature that is not good is not made good by credentials.
        assert_problem(server.client.get(bad, headers=owner.headers), 403, "bad-signature")
    signed_file = sign(server, owner, file_id, "w_120").replace("/v1/images/", "/v1/signed/files/")
    assert server.client.get(signed_file).status_code in {403, 404}
    assert room.asked == 0


def test_signed_url_ends_at_its_expiry(server: ApiServer, owner: Owner, room: Darkroom):
    url = sign(server, owner, upload(server, owner), "w_20", expires_in=1)
    over = int(dict(parse_qsl(urlsplit(url).query))["exp"]) + 0.05
    time.sleep(max(over - time.time(), 0))
    assert_problem(server.client.get(url), 410, "url-expired")


def test_revoking_ends_the_signed_images_of_that_file_alone(server: ApiServer, owner: Owner, room: Darkroom):
    file_id, other = upload(server, owner), upload(server, owner)
    old, others = sign(server, owner, file_id, "w_20"), sign(server, owner, other, "w_20")
    assert server.client.get(old).status_code == 200
    server.client.post(f"/v1/files/{file_id}/revoke-urls", headers=owner.headers)
    assert_problem(server.client.get(old), 403, "bad-signature")
    assert server.client.get(others).status_code == 200
    assert server.client.get(sign(server, owner, file_id, "w_20")).status_code == 200


def test_signed_url_of_a_deleted_file_is_a_404(server: ApiServer, owner: Owner, room: Darkroom):
    file_id = upload(server, owner)
    url = sign(server, owner, file_id, "w_20")
    server.client.delete(f"/v1/files/{file_id}", headers=owner.headers)
    assert_problem(server.client.get(url), 404, "not-found")


def test_urls_are_signed_for_the_owners_images_alone(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend
):
    file_id = upload(server, owner, visibility="public")
    path = f"/v1/files/{file_id}/image-url"

    def ask(headers: dict[str, str] | None, body: Any) -> httpx2.Response:
        return server.client.post(path, headers=headers, json=body)

    body = {"options": "w_100"}
    assert_problem(ask(None, body), 401, "missing-credentials")
    assert_problem(ask(stranger.headers, body), 404, "not-found")
    keyless = clean_backend.add_owner(scopes=("files:write",))
    assert_problem(ask(keyless.headers, body), 403, "missing-scope")
    assert_problem(ask(owner.headers, {"options": "w_0"}), 400, "bad-image-option", position=0)
    for wrong in ({}, {"options": ""}, {**body, "expires_in": 0}, {**body, "expires_in": 31_536_001}):
        assert_problem(ask(owner.headers, wrong), 422, "invalid-request")
    text = upload(server, owner, b"plain words", name="a.txt")
    answer = server.client.post(f"/v1/files/{text}/image-url", headers=owner.headers, json=body)
    assert_problem(answer, 422, "not-an-image")


# --- what cannot be made --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "position"),
    [("w_0", 0), ("w_4097", 0), ("h_9,w_NaN", 4), ("w_%D9%A4", 0), ("t_1", 0), ("w_1,w_2", 4), ("x", 0)],
)
def test_bad_options_are_a_400_that_says_where_and_what_is_allowed(
    server: ApiServer, owner: Owner, options: str, position: int
):
    problem = assert_problem(get(server, new_id(), options, owner.headers), 400, "bad-image-option")
    assert problem["position"] == position
    assert problem["allowed"]


def test_file_that_is_no_image_is_a_422_without_a_worker(server: ApiServer, owner: Owner, room: Darkroom):
    for data, name in ((b"plain words", "a.txt"), (b"%PDF-1.7\n", "a.pdf")):
        answer = get(server, upload(server, owner, data, name=name), "w_100", owner.headers)
        assert_problem(answer, 422, "not-an-image")
    assert room.asked == 0


def test_broken_image_is_a_422_at_once_and_is_not_tried_again_for_a_while(
    server: ApiServer, owner: Owner, room: Darkroom
):
    file_id = upload(server, owner, images.truncated_jpeg())
    started = time.monotonic()
    for _ in range(3):
        assert_problem(get(server, file_id, "w_100", owner.headers), 422, "unreadable-media")
    assert time.monotonic() - started < 5
    assert room.sandbox.edits == 1


def test_crash_is_a_503_with_retry_after_and_is_tried_again_later(
    server: ApiServer, owner: Owner, workshop: Workshop, clean_backend: Backend
):
    file_id = upload(server, owner)
    with darkroom(workshop, server) as room:
        room.sandbox._sandbox = None  # nothing is there to be asked: an error that nobody foresaw
        problem = assert_problem(get(server, file_id, "w_100", owner.headers), 503, "render-failed")
        assert problem["cause_code"] == "internal-error"
        answer = get(server, file_id, "w_100", owner.headers)
        assert 50 < int(answer.headers["Retry-After"]) <= 61
        assert room.sandbox.edits == 1
    with clean_backend.database.transaction() as session:
        for row in session.query(Transform):
            row.busy_until_ms = 0
    with darkroom(workshop, server):
        assert get(server, file_id, "w_100", owner.headers).status_code == 200


@pytest.fixture
def hasty(clean_backend: Backend) -> Iterator[ApiServer]:
    """An API that waits for half a second, and takes a message for lost after a fifth of one."""
    with ApiServer(clean_backend.settings, image_render_timeout=0.5, job_resend_after=0.2) as server:
        yield server


def test_no_worker_is_a_503_with_retry_after_in_time(hasty: ApiServer, owner: Owner, workshop: Workshop):
    file_id = upload(hasty, owner)
    with darkroom(workshop, hasty) as room:
        room.is_deaf = True
        started = time.monotonic()
        answer = get(hasty, file_id, "w_100", owner.headers)
        took = time.monotonic() - started
        assert_problem(answer, 503, "render-timeout")
        assert answer.headers["Retry-After"] == "2"
        assert 0.4 < took < 2
        assert room.asked >= 2  # lost messages were sent again meanwhile
        room.is_deaf = False
        time.sleep(0.25)
        assert get(hasty, file_id, "w_100", owner.headers).status_code == 200


def test_full_lane_is_a_503_at_once(server: ApiServer, owner: Owner, room: Darkroom):
    file_id = upload(server, owner)
    room.is_full = True
    started = time.monotonic()
    assert_problem(get(server, file_id, "w_100", owner.headers), 503, "render-timeout")
    assert time.monotonic() - started < 1


def test_broker_away_is_a_503_and_what_is_stored_is_served_all_the_same(
    server: ApiServer, owner: Owner, room: Darkroom
):
    file_id = upload(server, owner)
    assert get(server, file_id, "w_100", owner.headers).status_code == 200
    room.broker_is_away = True
    answer = get(server, file_id, "w_101", owner.headers)
    assert_problem(answer, 503, "broker-unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert get(server, file_id, "w_100", owner.headers).status_code == 200
    room.broker_is_away = False
    assert get(server, file_id, "w_101", owner.headers).status_code == 200  # the claim was given back


def test_real_redis_that_is_away_is_a_503_in_time(clean_backend: Backend, owner: Owner):
    with ApiServer(clean_backend.settings, broker_url="redis://127.0.0.1:9/0") as server:
        file_id = upload(server, owner)
        started = time.monotonic()
        answer = get(server, file_id, "w_100", owner.headers)
        assert answer.status_code == 503
        assert answer.json()["code"] in {"broker-unavailable", "render-timeout"}
        assert "Retry-After" in answer.headers
        assert time.monotonic() - started < 5


def test_client_that_hangs_up_does_not_end_the_wait_of_others(
    server: ApiServer, owner: Owner, workshop: Workshop
):
    file_id = upload(server, owner)
    with darkroom(workshop, server, pause_seconds=0.6) as room, ThreadPoolExecutor(2) as clients:
        path = f"{server.base_url}/v1/images/{file_id}/w_77"
        with pytest.raises(httpx2.TimeoutException):
            httpx2.get(path, headers=owner.headers, timeout=0.2)
        later = clients.submit(get, server, file_id, "w_77", owner.headers)
        assert later.result().status_code == 200
        assert room.sandbox.edits == 1


def test_file_deleted_while_its_image_is_made_is_a_404_and_leaves_nothing(
    server: ApiServer, owner: Owner, workshop: Workshop, clean_backend: Backend
):
    file_id = upload(server, owner)
    with darkroom(workshop, server, pause_seconds=0.5), ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(get, server, file_id, "w_77", owner.headers)
        time.sleep(0.2)
        server.client.delete(f"/v1/files/{file_id}", headers=owner.headers)
        workshop.run_all()
        assert_problem(waiting.result(), 404, "not-found")
    assert clean_backend.keys() == set()
