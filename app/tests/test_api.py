"""`POST /api/finetune`: the contract table, idempotency, limits, outages, the trace."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.rates import RateLimit
from app.api.server import build
from app.broker.queue import BrokerUnavailable
from app.broker.sql import SqlPublisher
from app.contract.directory import Limits
from app.contract.job import JobEnvelope, JobState, job_id
from app.directory import read
from app.intake import BrokerIntake
from app.store.engine import StoreUnavailable
from app.telemetry import tracing
from app.tests.cast import KEYS, UNKNOWN_KEY, tenant_entry
from app.tests.serving import REQUEST, Api, serve

KEYED = {"Idempotency-Key": "order-1"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One application for the tests that leave nothing another one could stumble over."""
    return serve(tmp_path_factory.mktemp("api"))


@pytest.fixture
def fresh(tmp_path: Path) -> Api:
    return serve(tmp_path)


def jobs_of(api: Api, tenant: str = "acme") -> list[str]:
    return [job.id for job in api.rows.jobs.list(tenant, after=None, limit=100)]


@pytest.mark.requirement("A5")
@pytest.mark.requirement("A1")
def test_a_job_is_accepted_queued_and_told_where_it_is(fresh: Api) -> None:
    answer = fresh.submit()
    job = answer.json()["jobId"]
    assert (answer.status_code, set(answer.json())) == (202, {"message", "jobId"})
    assert answer.headers["location"] == f"/v1/fine_tuning/jobs/{job}"
    assert {"retry-after", "traceresponse", "x-request-id"} <= set(answer.headers)
    assert [json.loads(message.value or b"")["id"] for message in fresh.subscriber.take(limit=9)] == [job]
    assert jobs_of(fresh) == [job]


@pytest.mark.requirement("A4")
@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b"", "#", "json_invalid"),
        (b"{", "#", "json_invalid"),
        (b"\xff\xfe", "#", "json_invalid"),
        (b"[]", "#", "invalid"),
        (b"null", "#", "invalid"),
        (b"[" * 10_000, "#", "json_invalid"),
        ({"datasetUrl": REQUEST["datasetUrl"]}, "#/modelId", "missing"),
        ({"modelId": "smollm2-135m"}, "#/datasetUrl", "missing"),
        ({**REQUEST, "modelId": 7}, "#/modelId", "invalid"),
        ({**REQUEST, "modelId": ""}, "#/modelId", "invalid"),
        ({**REQUEST, "modelId": "m" * 65}, "#/modelId", "invalid"),
        ({**REQUEST, "modelId": "unheard-of"}, "#/modelId", "model_not_found"),
        ({**REQUEST, "datasetUrl": "s3://tenon-globex/rows"}, "#/datasetUrl", "bucket_not_allowed"),
        ({**REQUEST, "callbackUrl": "http://hooks.acme.example"}, "#/callbackUrl", "callback_invalid"),
        ({**REQUEST, "suffix": "Not A Label"}, "#/suffix", "invalid"),
        ({**REQUEST, "seed": -1}, "#/seed", "invalid"),
        ({**REQUEST, "hyperparameters": {"epochs": 0}}, "#/hyperparameters/epochs", "invalid"),
        ({**REQUEST, "hyperparameters": {"lr": 1}}, "#/hyperparameters/lr", "unknown_field"),
        ({**REQUEST, "metadata": {"a/b~c": 1}}, "#/metadata/a~1b~0c", "invalid"),
        ({**REQUEST, "priority": 1}, "#/priority", "unknown_field"),
    ],
)
def test_400_names_the_field(api: Api, body: Any, pointer: str, code: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = api.send("POST", "/api/finetune", content=content, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert [(error["pointer"], error["code"]) for error in problem["invalidParams"]] == [(pointer, code)]
    assert problem["status"] == 400
    assert problem["error"]["code"] == code
    assert problem["message"] == problem["detail"] == problem["error"]["message"]


def test_400_names_all_fields_and_repeats_no_value(api: Api) -> None:
    answer = api.submit({"modelId": 5, "callbackUrl": "https://user:hunter2@hooks.acme.example/", "x": "hunter2"})
    assert set(answer.json()["errors"]) == {"modelId", "datasetUrl", "x"}
    assert {error["field"] for error in answer.json()["invalidParams"]} == set(answer.json()["errors"])
    assert "hunter2" not in answer.text
    answer = api.submit({**REQUEST, "callbackUrl": "https://user:hunter2@hooks.acme.example/"})
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*REQUEST, "tenantId", "seed", "suffix", "callbackUrl", "hyperparameters", "metadata", "?"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
@pytest.mark.requirement("A4")
def test_no_body_makes_a_fault_of_ours(api: Api, body: dict[str, Any]) -> None:
    answer = api.send(
        "POST", "/api/finetune", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {202, 400, 403}
    assert answer.status_code == 202 or answer.json()["invalidParams"]


@pytest.mark.parametrize(
    ("headers", "tenant"),
    [({}, None), ({"Authorization": f"Bearer {UNKNOWN_KEY}"}, None), ({"Authorization": "Basic YTpi"}, None)],
)
def test_401_without_a_known_key(api: Api, headers: dict[str, str], tenant: str | None) -> None:
    answer = api.submit(headers=headers, tenant=tenant)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_403_for_another_tenants_id_in_the_body(api: Api) -> None:
    answer = api.submit({**REQUEST, "tenantId": "globex"})
    assert (answer.status_code, answer.json()["invalidParams"][0]["pointer"]) == (403, "#/tenantId")
    assert api.submit({**REQUEST, "tenantId": "acme"}).status_code == 202


def test_404_for_a_path_that_is_none(api: Api) -> None:
    assert api.send("GET", "/api/finetune/").status_code == 404
    assert api.send("GET", "/").json()["error"]["code"] == "not_found"


@pytest.mark.requirement("A5")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/finetune", "OPTIONS, POST"),
        ("HEAD", "/api/finetune", "OPTIONS, POST"),
        ("PUT", "/api/finetune", "OPTIONS, POST"),
        ("DELETE", "/v1/fine_tuning/jobs", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/v1/fine_tuning/jobs/x", "GET, HEAD, OPTIONS"),
    ],
)
def test_405_names_every_method_of_the_path(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.send(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_options_and_head_are_answered(api: Api) -> None:
    assert api.send("OPTIONS", "/v1/fine_tuning/jobs", tenant=None).status_code == 204
    assert api.send("HEAD", "/healthz", tenant=None).status_code == 200


def test_413_for_a_big_body_declared_or_not(api: Api) -> None:
    big = json.dumps({**REQUEST, "suffix": "x" * 70_000}).encode()
    headers = {"Content-Type": "application/json"}

    async def chunks() -> Any:
        yield big

    for content in (big, chunks()):
        answer = api.send("POST", "/api/finetune", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("declared", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_415_for_another_content_type(api: Api, declared: str | None) -> None:
    headers = {"Content-Type": declared} if declared else {}
    answer = api.send("POST", "/api/finetune", content=json.dumps(REQUEST).encode(), headers=headers)
    assert answer.status_code == 415


@pytest.mark.requirement("A6")
def test_one_key_is_one_job_however_often_it_is_sent(fresh: Api) -> None:
    answers = [fresh.submit(headers=KEYED) for _ in range(3)]
    assert {answer.json()["jobId"] for answer in answers} == {job_id("acme", "order-1")}
    assert len(fresh.subscriber.take(limit=9)) == 1


@pytest.mark.requirement("A6")
def test_one_key_at_one_time_is_one_job(fresh: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: fresh.submit(headers=KEYED), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert jobs_of(fresh) == [job_id("acme", "order-1")]


def test_without_a_key_every_request_is_a_job(fresh: Api) -> None:
    assert fresh.submit().json()["jobId"] != fresh.submit().json()["jobId"]


def test_two_tenants_may_use_one_key(fresh: Api) -> None:
    body = {**REQUEST, "datasetUrl": "s3://tenon-globex/rows"}
    other = fresh.submit(body, headers=KEYED, tenant="globex")
    assert other.json()["jobId"] != fresh.submit(headers=KEYED).json()["jobId"]


def test_422_for_one_key_with_another_request(fresh: Api) -> None:
    fresh.submit(headers=KEYED)
    answer = fresh.submit({**REQUEST, "seed": 7}, headers=KEYED)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (422, "false")
    assert answer.json()["invalidParams"][0]["field"] == "Idempotency-Key"
    assert len(jobs_of(fresh)) == 1


@pytest.mark.parametrize("key", ["", "with blank", "x" * 256])
def test_400_for_a_key_that_is_none(api: Api, key: str) -> None:
    answer = api.submit(headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["invalidParams"][0]["field"]) == (400, "Idempotency-Key")


def test_a_retry_of_openais_client_without_a_key_is_no_second_job(fresh: Api) -> None:
    first = fresh.submit(headers={"x-stainless-retry-count": "0"})
    assert fresh.submit(headers={"x-stainless-retry-count": "1"}).json()["jobId"] == first.json()["jobId"]


def test_429_when_the_queue_is_full_but_not_for_a_job_that_is_in_it(tmp_path: Path) -> None:
    api = serve(tmp_path, tenant_entry(limits=Limits(requests_per_second=1000, queued_jobs=1)))
    assert api.submit(headers=KEYED).status_code == 202
    answer = api.submit()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) > 0
    assert api.submit(headers=KEYED).status_code == 202


def test_429_above_the_tenants_rate(tmp_path: Path) -> None:
    api = serve(tmp_path, tenant_entry(limits=Limits(requests_per_second=1)), tenant_entry("globex"))
    answers = [api.send("GET", "/v1/models") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "1"
    assert api.send("GET", "/v1/models", tenant="globex").status_code == 200


def test_a_rate_is_a_bucket_that_fills_as_time_passes() -> None:
    now = [0.0]
    rates = RateLimit(clock=lambda: now[0])
    assert [rates.take("acme", 2).wait_seconds for _ in range(3)] == [0, 0, 0.5]
    now[0] = 0.5
    assert [rates.take("acme", 2).wait_seconds for _ in range(2)] == [0, 0.5]


class DeadBroker:
    """A broker that acknowledges nothing."""

    async def publish(
        self,
        envelope: JobEnvelope,  # noqa: ARG002
        *,
        traceparent: str | None,  # noqa: ARG002
        tracestate: str | None = None,  # noqa: ARG002
    ) -> None:
        raise BrokerUnavailable("no acknowledgement")


@pytest.mark.requirement("A5")
def test_503_and_no_job_without_the_brokers_acknowledgement(tmp_path: Path) -> None:
    api = serve(tmp_path, publisher=DeadBroker())
    answer = api.submit(headers=KEYED)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "x-should-retry" not in answer.headers
    assert jobs_of(api) == []


def test_503_while_the_store_cannot_be_opened(tmp_path: Path) -> None:
    api = serve(tmp_path)
    api.rows.jobs.engine.dispose()
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    (tmp_path / "store.db").mkdir()
    for answer in (api.send("GET", "/v1/fine_tuning/jobs"), api.submit(headers=KEYED), api.submit()):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert str(tmp_path) not in answer.text


def test_a_job_that_the_broker_has_is_accepted_though_its_row_fails(
    fresh: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(fresh.rows.jobs, "insert_or_ignore", full)
    assert fresh.submit().status_code == 202
    assert len(fresh.subscriber.take(limit=9)) == 1


@pytest.mark.requirement("A35")
def test_the_trace_of_the_request_reaches_the_queue_and_the_row(fresh: Api) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = fresh.submit(headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    message = fresh.subscriber.take(limit=1)[0]
    spans = [json.loads(line) for line in fresh.traces.read_text(encoding="utf-8").splitlines()]
    sent, served = spans
    assert (sent["name"], served["name"]) == ("send finetuning-jobs", "POST /api/finetune")
    assert {span["traceId"] for span in spans} == {trace}
    assert sent["parentSpanId"] == served["spanId"]
    assert message.headers["traceparent"].split("-")[1:3] == [trace, sent["spanId"]]
    assert answer.headers["traceresponse"].split("-")[1:3] == [trace, served["spanId"]]
    job = fresh.rows.jobs.get("acme", answer.json()["jobId"])
    assert job is not None
    assert job.traceparent == message.headers["traceparent"]


def test_a_given_request_id_is_kept_and_a_wild_one_replaced(api: Api) -> None:
    kept = api.send("GET", "/healthz", headers={"x-request-id": "req-1"})
    replaced = api.send("GET", "/healthz", headers={"x-request-id": "a b"})
    assert kept.headers["x-request-id"] == "req-1"
    assert len(replaced.headers["x-request-id"]) == 32


@pytest.mark.requirement("A1")
def test_acceptance_waits_for_nobody_who_works_on_jobs(fresh: Api) -> None:
    """No dispatcher, no workflow and no trainer runs here."""
    assert {fresh.submit().status_code for _ in range(20)} == {202}
    assert fresh.rows.jobs.counts("acme")[JobState.QUEUED] == 20


def test_without_a_store_jobs_are_published_and_nothing_is_listed(tmp_path: Path) -> None:
    api = serve(tmp_path)
    storeless = build(
        directory=read((tmp_path / "directory").as_uri()),
        intake=BrokerIntake(SqlPublisher(api.rows.jobs.engine), None),
        tracing=tracing("ingest", None),
        rows=None,
        buckets=None,
    )
    bare = replace(api, application=storeless)
    assert bare.submit(headers=KEYED).json()["jobId"] == bare.submit(headers=KEYED).json()["jobId"]
    assert bare.submit({**REQUEST, "datasetUrl": "file-" + "0" * 26}).status_code == 400
    assert bare.send("GET", "/v1/fine_tuning/jobs").status_code == 404
    assert (jobs_of(api), len(api.subscriber.take(limit=9))) == ([], 2)


def test_ingest_needs_neither_torch_nor_kubernetes_nor_cdk8s() -> None:
    heavy = ("torch", "transformers", "kubernetes", "cdk8s", "hera", "generators")
    program = f"import sys, app.index, app.api.server; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ROUTES = [
    ("POST", "/api/finetune"),
    ("GET", "/v1/models"),
    ("POST", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/fine_tuning/jobs/{job}"),
    ("GET", "/v1/fine_tuning/jobs/{job}/events"),
    ("POST", "/v1/fine_tuning/jobs/{job}/cancel"),
]
WITHOUT_OWNER = {"/api/finetune", "/v1/models", "/v1/fine_tuning/jobs"}


@pytest.mark.requirement("A17")
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_route_knows_own_other_none_and_unknown(fresh: Api, method: str, path: str) -> None:
    place = path.format(job=fresh.submit().json()["jobId"])
    body: dict[str, Any] = {"json": {}} if path in WITHOUT_OWNER and method == "POST" else {}

    def status(key: str | None) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return fresh.send(method, place, tenant=None, headers=headers, **body).status_code

    served = 400 if body else 200
    assert status(None) == 401
    assert status(UNKNOWN_KEY) == 401
    assert status(KEYS["globex"]) == (served if path in WITHOUT_OWNER else 404)
    assert status(KEYS["acme"]) == served
