"""A large upload passes through the API process and never stays in it."""

import hashlib

from tests.support.large_upload import upload_large_form, upload_large_patch
from tests.support.started import FreshService

MIB = 1024 * 1024
SIZE_BYTES = 512 * MIB
"""More would prove no more: the memory is in parts, and a leak of a part in ten would already show."""
BUDGET_BYTES = 64 * MIB


def test_half_a_gibibyte_in_a_form_grows_the_api_by_at_most_64_mib(fresh_service: FreshService):
    upload_large_form(fresh_service, MIB)  # what a first request loads is no growth

    large = upload_large_form(fresh_service, SIZE_BYTES)

    assert (large.file["size"], large.file["sha256"]) == (SIZE_BYTES, large.sha256)
    assert large.growth_bytes <= BUDGET_BYTES
    digest = hashlib.sha256()
    with (
        fresh_service.client() as client,
        client.stream("GET", f"/v1/files/{large.file['id']}/content") as answer,
    ):
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    assert digest.hexdigest() == large.sha256


def test_half_a_gibibyte_by_tus_in_one_patch_grows_the_api_by_at_most_64_mib(fresh_service: FreshService):
    upload_large_patch(fresh_service, MIB)

    large = upload_large_patch(fresh_service, SIZE_BYTES)

    assert (large.file["size"], large.file["sha256"]) == (SIZE_BYTES, large.sha256)
    assert large.growth_bytes <= BUDGET_BYTES
