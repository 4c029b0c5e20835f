"""What every route has in common: browsers, methods, rates, the audit, readiness."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.api.readiness import Probe
from app.api.server import Border
from app.broker.probe import connect
from app.broker.queue import BrokerUnavailable
from app.contract.directory import Limits
from app.metrics import Metrics
from app.store.audit import verify
from app.store.engine import StoreUnavailable, reading
from app.store.tables import audit
from app.tests.cast import tenant_entry
from app.tests.serving import REQUEST, Api, serve

PAGE = "https://portal.example"
JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    return serve(tmp_path_factory.mktemp("border"), border=Border(origins=(PAGE,)))


def records(api: Api) -> list[Any]:
    with reading(api.rows.jobs.engine) as connection:
        return list(connection.execute(select(audit).order_by(audit.c.id)).all())


def test_a_named_page_may_call_and_learns_the_methods_of_the_path(api: Api) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = api.send("OPTIONS", JOBS, tenant=None, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert int(answer.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(("method", "path"), [("GET", JOBS), ("GET", "/nowhere"), ("PUT", JOBS), ("POST", JOBS)])
def test_a_named_page_may_read_answers_and_refusals_but_sends_no_cookies(api: Api, method: str, path: str) -> None:
    for tenant in ("acme", None):
        answer = api.send(method, path, tenant=tenant, headers={"Origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in answer.headers
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"{PAGE}.evil.example", "*"])
def test_another_page_may_not(api: Api, origin: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "GET"):
        answer = api.send(method, JOBS, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["vary"] == "Origin"


@pytest.mark.requirement("A5")
def test_head_is_get_without_its_body(api: Api) -> None:
    job = api.submit().json()["jobId"]
    for path in ("/healthz", "/v1/models", JOBS, f"{JOBS}/{job}", f"{JOBS}/{job}/events?stream=true"):
        head = api.send("HEAD", path)
        assert (head.status_code, head.content) == (200, b""), path
    assert api.send("HEAD", f"{JOBS}/nothing").status_code == 404


def test_an_admitted_answer_tells_what_is_left_of_the_rate(tmp_path: Path) -> None:
    api = serve(tmp_path, tenant_entry(limits=Limits(requests_per_second=2)))
    answers = [api.send("GET", path) for path in ("/v1/models", f"{JOBS}/none", "/v1/models")]
    assert [answer.status_code for answer in answers] == [200, 404, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"tenant";q=2;w=1'}
    assert [answer.headers["ratelimit"] for answer in answers] == [f'"tenant";r={left};t=1' for left in (1, 0, 0)]
    assert int(answers[2].headers["retry-after-ms"]) <= 1000 * int(answers[2].headers["retry-after"]) == 1000
    assert "ratelimit" not in api.send("GET", "/v1/models", tenant=None).headers


def test_what_changes_something_is_in_the_audit_and_reads_are_not(tmp_path: Path) -> None:
    api = serve(tmp_path)
    accepted = api.submit(headers={"x-request-id": "request-7"})
    job = accepted.json()["jobId"]
    api.send("GET", JOBS)
    api.send("POST", f"{JOBS}/{job}/cancel")
    api.send("POST", f"{JOBS}/{job}/cancel", tenant="globex")
    api.submit({"modelId": 7})
    made, cancelled, others, bad = records(api)
    assert (made.actor, made.tenant, made.action) == ("key:acme", "acme", "POST /api/finetune")
    assert (made.resource, made.outcome, made.reason) == (f"{JOBS}/{job}", "done", None)
    assert (made.request_id, made.trace_id) == ("request-7", accepted.headers["traceresponse"].split("-")[1])
    assert (cancelled.action, cancelled.resource) == (f"POST {JOBS}/{{job}}/cancel", f"{JOBS}/{job}/cancel")
    assert (others.tenant, others.outcome, others.reason) == ("globex", "refused", "not_found")
    assert (bad.outcome, bad.reason) == ("refused", "invalid_request")
    assert verify(api.rows.jobs.engine).broken is None


def test_strangers_fill_no_audit(tmp_path: Path) -> None:
    api = serve(tmp_path, tenant_entry(limits=Limits(requests_per_second=1)))
    assert [api.submit(tenant=None).status_code for _ in range(3)] == [401] * 3
    assert [api.submit().status_code for _ in range(3)] == [202, 429, 429]
    assert len(records(api)) == 1


def test_an_accepted_job_stays_accepted_when_the_audit_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr("app.audit.append", full)
    api = serve(tmp_path)
    answer = api.submit()
    assert answer.status_code == 202
    assert f'"resource": "{JOBS}/{answer.json()["jobId"]}"' in caplog.text


def test_a_fault_of_ours_is_answered_audited_and_told_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.rows.jobs, "cancel", broken)
    answer = api.send("POST", f"{JOBS}/x/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert [(row.outcome, row.reason) for row in records(api)] == [("failed", "internal_error")]


def test_answers_are_counted_by_their_route_and_never_by_their_path(tmp_path: Path) -> None:
    metrics = Metrics("ingest")
    api = serve(tmp_path, border=Border(metrics=metrics))
    api.submit()
    for path in (f"{JOBS}/one", f"{JOBS}/two", "/made/up"):
        api.send("GET", path)
    samples = [sample for family in metrics.collect() for sample in family.samples]
    counted = {
        (sample.labels["route"], sample.labels["code"]): sample.value
        for sample in samples
        if sample.name == "tenon_http_requests_total"
    }
    assert counted == {("/api/finetune", "202"): 1, (f"{JOBS}/{{job}}", "404"): 2, ("none", "404"): 1}


@pytest.mark.parametrize("path", ["/v1/models?after=%00", f"{JOBS}?metadata[a]=%00b", f"{JOBS}?after=a%00"])
def test_nul_in_a_query_is_refused(api: Api, path: str) -> None:
    assert (api.send("GET", path).status_code, api.send("GET", f"{JOBS}/%00").status_code) == (400, 404)


def test_readiness_names_what_does_not_answer_and_looks_at_most_once_a_second(tmp_path: Path) -> None:
    asked, silent = [], [True]

    def ask() -> None:
        asked.append(1)
        if silent[0]:
            raise StoreUnavailable("gone")

    api = serve(tmp_path, border=Border(probes=(Probe("store", ask), Probe("broker", lambda: None))))
    answers = [api.send("GET", "/readyz", tenant=None) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["detail"].startswith("store cannot be reached")
    assert len(asked) == 1
    assert api.send("GET", "/healthz", tenant=None).status_code == 200
    silent[0] = False
    ready = serve(_made(tmp_path / "again"), border=Border(probes=(Probe("store", ask),)))
    assert ready.send("GET", "/readyz", tenant=None).json() == {"status": "ready"}


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "127.0.0.1:1,[::1]:1", "nonsense", ":"])
def test_a_broker_that_listens_nowhere_is_not_ready(servers: str) -> None:
    with pytest.raises(BrokerUnavailable):
        connect(servers)


def test_requests_of_the_documents_form_have_the_fields_that_forms_show(api: Api) -> None:
    body = api.submit({**REQUEST, "seed": -1, "x": 1}).json()
    assert {name: len(texts) for name, texts in body["errors"].items()} == {"seed": 1, "x": 1}
    assert [error["pointer"] for error in body["invalidParams"]] == ["#/seed", "#/x"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
