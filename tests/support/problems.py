"""What every error answer has to be (RFC 9457)."""

from typing import Any

import httpx2

from media_service.auth.shapes import redacted

PRIVATE_WORDS = ("Traceback", "sqlalchemy", "psycopg", "botocore", '.py"', "/tmp/", "originals/")


def assert_problem(answer: httpx2.Response, status: int, code: str, **members: Any) -> dict[str, Any]:
    """Check an answer against the form of all problems, and against what this one has to say."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["instance"] == redacted(answer.request.url.path)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["title"]
    assert problem["detail"]
    for name, value in members.items():
        assert problem[name] == value
    for word in PRIVATE_WORDS:
        assert word not in answer.text
    return problem
