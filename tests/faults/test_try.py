from tests.support.arena import Arena


def test_nothing(arena: Arena):
    with arena.client() as client:
        arena.wait_until_ready([arena.upload_until_taken(client, "x")])
