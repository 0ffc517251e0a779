"""The OpenAPI document and the pages made of it."""

import re
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from media_service.auth.scopes import Scope
from media_service.web.openapi import UNLIMITED_PATHS
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN

METHODS = {"get", "put", "post", "delete", "patch"}
OPEN = {"/livez", "/readyz", "/v1/auth/register", "/v1/auth/token", "/v1/auth/refresh"}
BY_SIGNATURE = "/v1/signed/"
FOREIGN = re.compile(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//(?!127\.0\.0\.1)[^"'\s]+""")


@pytest.fixture
def document(server: ApiServer) -> dict[str, Any]:
    document: dict[str, Any] = server.client.get("/openapi.json").json()
    return document


@schemathesis.serializer("application/offset+octet-stream", "application/partial-upload")
def as_it_is(_: Any, value: Any) -> bytes:
    """Bytes of resumable uploads."""
    return value if isinstance(value, bytes) else str(value).encode()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_document_is_valid(document: dict[str, Any]):
    validate(document)


def test_every_operation_says_what_it_does_under_a_name_of_its_own(document: dict[str, Any]):
    found = operations(document)
    assert len(found) >= 15
    for _, _, operation in found:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
    names = [operation["operationId"] for _, _, operation in found]
    assert len(set(names)) == len(names)


def test_every_operation_declares_its_errors_as_problems(document: dict[str, Any]):
    for method, path, operation in operations(document):
        responses = operation["responses"]
        assert {"414", "431", "500", "503"} <= set(responses), (method, path)
        if path not in OPEN and not path.startswith(BY_SIGNATURE):
            assert {"401", "403"} <= set(responses), (method, path)
        if "{file_id}" in path or "{job_id}" in path:
            assert {"404", "422"} <= set(responses), (method, path)
        if "requestBody" in operation:
            assert {"400", "408", "413", "415", "422"} <= set(responses), (method, path)
        for status, response in responses.items():
            if status >= "400" and path != "/readyz":
                assert set(response["content"]) == {"application/problem+json"}, (method, path, status)


def test_every_limited_operation_says_how_it_refuses_and_how_one_stands(document: dict[str, Any]):
    headers = set(document["components"]["headers"])
    assert headers == {"RateLimit", "RateLimit-Policy", "Retry-After"}
    for _, path, operation in operations(document):
        responses = operation["responses"]
        assert ("429" in responses) is (path not in UNLIMITED_PATHS), path
        if "429" in responses:
            assert set(responses["429"]["headers"]) == headers
            assert all(
                {"RateLimit", "RateLimit-Policy"} <= set(each["headers"]) for each in responses.values()
            )


def test_upload_has_a_file_chooser_for_several_files_and_a_raw_form(document: dict[str, Any]):
    content = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]["properties"]
    assert form["file"]["items"] == {"type": "string", "format": "binary"}
    assert form["file"]["type"] == "array"
    assert {"visibility", "tags", "custom", "sha256"} <= set(form)
    assert content["application/octet-stream"]["schema"] == {"type": "string", "format": "binary"}


def test_credentials_are_declared(document: dict[str, Any]):
    schemes = document["components"]["securitySchemes"].values()
    assert {(scheme["type"], scheme.get("scheme")) for scheme in schemes} == {
        ("http", "bearer"),
        ("apiKey", None),
        ("oauth2", None),
    }
    assert document["paths"]["/v1/files"]["post"]["security"]
    [flow] = [scheme["flows"]["password"] for scheme in schemes if scheme["type"] == "oauth2"]
    assert flow["tokenUrl"] == "/v1/auth/token"
    assert set(flow["scopes"]) == set(Scope)


def test_framework_errors_are_not_in_the_document(server: ApiServer):
    text = server.client.get("/openapi.json").text
    assert "HTTPValidationError" not in text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation_needs_no_other_host(server: ApiServer, path: str):
    page = server.client.get(path)
    assert page.status_code == 200
    assert FOREIGN.findall(page.text) == []
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        if not asset.startswith("/openapi"):
            answer = server.client.get(asset)
            assert answer.status_code == 200, asset


def test_generated_requests_are_answered_as_documented(server: ApiServer):
    """No status, content type, header or body that the document does not declare; above all no 5xx."""
    schema = schemathesis.openapi.from_url(f"{server.base_url}/openapi.json")
    tried = []
    for result in schema.get_all_operations():
        operation = cast("Any", result).ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_documented(case: Any) -> None:
            case.call_and_validate(
                headers=ADMIN,
                # What a value means (a JSON text, a digest of the next file) no schema can say.
                excluded_checks=[positive_data_acceptance, negative_data_rejection],
            )

        answers_as_documented()
        tried.append(operation.label)
    assert len(tried) >= 15
