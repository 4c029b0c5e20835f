"""The OpenAPI document: true to the routes, kept beside the code, and held against by a fuzzer."""

import copy
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from app.api.openapi import document
from app.api.operations import OPERATIONS, Operation
from app.buckets import Buckets
from app.contract.directory import Limits
from app.store.attempts import Attempts
from app.tests import objectstore
from app.tests.cast import KEYS, tenant_entry
from app.tests.serving import REQUEST, Api, serve

GOLDEN = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ACME = {"Authorization": f"Bearer {KEYS['acme']}"}


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    for s3 in objectstore.running(tmp_path_factory.mktemp("s3")):
        yield Buckets(s3)


@pytest.fixture(scope="module")
def api(buckets: Buckets, tmp_path_factory: pytest.TempPathFactory) -> Api:
    limits = Limits(requests_per_second=1000, queued_jobs=10_000)
    return serve(tmp_path_factory.mktemp("openapi"), tenant_entry(limits=limits), buckets=buckets)


@pytest.fixture(scope="module")
def described(api: Api) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", api.application)


@pytest.fixture(scope="module")
def own(api: Api, buckets: Buckets) -> dict[str, str]:
    """One of each that is the tenant's own, by the name it has in paths."""
    job = api.submit().json()["jobId"]
    assert Attempts(api.rows.jobs.engine).begin(job, cap=1)
    row = {"line": 1, "rejected": False, "tokens": [{"id": 5, "text": "hi", "learned": True}]}
    buckets.put("tenon-acme", f"jobs/{job}/1/preview.json", io.BytesIO(json.dumps({"rows": [row]}).encode()))
    file = api.send("POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a", b"{}")}).json()["id"]
    announced = {"filename": "a", "purpose": "fine-tune", "bytes": 1}
    upload = api.send("POST", "/v1/uploads", json=announced).json()["id"]
    callback = {**REQUEST, "callbackUrl": "https://hooks.acme.example/"}
    api.send("POST", f"/v1/fine_tuning/jobs/{api.submit(callback).json()['jobId']}/cancel")
    delivery = api.send("GET", "/v1/webhooks/deliveries").json()["data"][0]["id"]
    return {"job": job, "file": file, "upload": upload, "delivery": delivery, "model": "replies"}


def fuzz(described: Any, operation: Operation, *, examples: int, mode: GenerationMode) -> None:
    """Requests that the document allows, or just does not; what is answered has to be what it says."""
    strategy = described[operation.path][operation.method].as_strategy(generation_mode=mode)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def answers_as_described(case: Any) -> None:
        case.call_and_validate(headers=ACME, checks=CHECKS)

    answers_as_described()


def allowed_modes(operation: Operation) -> list[GenerationMode]:
    """A path that takes nothing cannot be asked wrongly."""
    takes_nothing = not operation.parameters and operation.body is None and "{" not in operation.path
    return [GenerationMode.POSITIVE] if takes_nothing else list(GenerationMode)


FUZZED = [
    pytest.param(operation, mode, id=f"{operation.method} {operation.path} {mode.value}")
    for operation in OPERATIONS
    for mode in allowed_modes(operation)
]


@pytest.mark.requirement("A4", "A5")
@pytest.mark.parametrize(("operation", "mode"), FUZZED)
def test_what_is_answered_is_what_the_document_says(described: Any, operation: Operation, mode: GenerationMode) -> None:
    fuzz(described, operation, examples=2, mode=mode)


@pytest.mark.services
@pytest.mark.requirement("A4", "A5")
@pytest.mark.parametrize(("operation", "mode"), FUZZED)
def test_no_request_of_many_makes_a_fault_of_ours(described: Any, operation: Operation, mode: GenerationMode) -> None:
    fuzz(described, operation, examples=12, mode=mode)


# What deletes comes last, so that what it deletes is there for the others.
OF_ONE = sorted((each for each in OPERATIONS if "{" in each.path), key=lambda each: each.method == "DELETE")


@pytest.mark.parametrize("operation", OF_ONE, ids=lambda each: each.summary)
def test_what_there_is_is_shown_as_described(described: Any, own: dict[str, str], operation: Operation) -> None:
    names = {name: own[name] for name in own if f"{{{name}}}" in operation.path}
    body: dict[str, Any] = {"body": {}, "media_type": "application/json"} if operation.body else {}
    case = described[operation.path][operation.method].Case(path_parameters=names, **body)
    assert case.call_and_validate(headers=ACME, checks=CHECKS).status_code not in {400, 404}


def test_the_fuzzer_notices_what_the_document_does_not_say(api: Api) -> None:
    wrong = copy.deepcopy(document())
    del wrong["paths"]["/v1/models/{model}"]["get"]["responses"]["404"]
    wrong["components"]["schemas"]["ModelObject"]["required"].append("price")
    described = schemathesis.openapi.from_dict(wrong)
    described.app = api.application
    read = described["/v1/models/{model}"]["GET"]
    for model in ("replies", "unheard-of"):
        with pytest.raises(FailureGroup):
            read.Case(path_parameters={"model": model}).call_and_validate(headers=ACME, checks=CHECKS)


def test_the_document_names_every_route_and_no_other(api: Api) -> None:
    served = {(method, route.path) for route in routes_of(api.application) for method in route.methods or ()}
    assert served - {("HEAD", path) for _, path in served} == {(each.method, each.path) for each in OPERATIONS}


def routes_of(application: Any) -> list[Route]:
    """Of the router inside, whatever stands around it."""
    while not hasattr(application, "routes"):
        inner = vars(application)
        application = next(inner[name] for name in ("_application", "_others", "_inner", "app") if name in inner)
    return [route for route in application.routes if isinstance(route, Route)]


def test_the_document_in_docs_is_that_of_the_code() -> None:
    text = json.dumps(document(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == text, "run this test with TENON_UPDATE_GOLDEN=1"
