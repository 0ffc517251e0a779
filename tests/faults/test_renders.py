"""The process that makes images on the fly dies: whoever waits gets one, or is told when to ask again."""

import time

import pytest

from tests.support.arena import SECONDS_TO_HEAL, Arena


@pytest.mark.slow
@pytest.mark.fault("F6", "SIGKILL of a renderer in mid-image", "whoever asks again gets the image")
@pytest.mark.parametrize("point", ["render.claimed", "render.stored"])
def test_image_of_a_renderer_that_dies_comes_all_the_same(arena: Arena, point: str):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, point)
        arena.wait_until_ready([file_id])
        arena.arm(point)
        path = f"/v1/images/{file_id}/w_64,h_64,fit_cover,f_jpeg"
        deadline = time.monotonic() + SECONDS_TO_HEAL
        while (answer := client.get(path)).status_code != 200:
            assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline, arena.service.log_tail
            time.sleep(min(float(answer.headers["Retry-After"]), 0.5))
        arena.wait_until_dead(point)
        assert answer.content[:2] == b"\xff\xd8"
        assert client.get(path).content == answer.content
