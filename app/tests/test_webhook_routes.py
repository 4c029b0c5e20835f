"""`/v1/webhooks`: secrets shown once, deliveries listed and replayed, and none of it another tenant's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.api.server import build
from app.delivery.signing import SigningKeys
from app.directory import read
from app.intake import StoreIntake
from app.store.engine import reading
from app.store.outbox import Outbox
from app.store.tables import audit
from app.store.webhook_keys import MOST_LIVE, OVERLAP, WebhookKeys
from app.telemetry import tracing
from app.tests.cast import write_directory
from app.tests.serving import MASTER_KEY, REQUEST, Api, serve

KEYS, DELIVERIES = "/v1/webhooks/keys", "/v1/webhooks/deliveries"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return serve(tmp_path)


def end_a_job(api: Api) -> str:
    """The id of a cancelled job whose caller wants to be told."""
    job = api.submit({**REQUEST, "callbackUrl": "https://hooks.acme.example/jobs"}).json()["jobId"]
    assert api.send("POST", f"/v1/fine_tuning/jobs/{job}/cancel").status_code == 200
    return str(job)


def listed(api: Api, path: str = DELIVERIES, tenant: str = "acme") -> list[dict[str, Any]]:
    return list(api.send("GET", path, tenant=tenant).json()["data"])


def test_a_secret_is_shown_by_the_rotation_alone(api: Api) -> None:
    answers = [api.send("POST", f"{KEYS}/rotate") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    expected = [SigningKeys(MASTER_KEY).shown("acme", generation) for generation in (1, 2)]
    assert [answer.json()["secret"] for answer in answers] == expected
    assert answers[0].headers["cache-control"] == "no-store"
    newest, oldest = listed(api, KEYS)
    assert (newest["generation"], newest["expires_at"], oldest["generation"]) == (2, None, 1)
    assert oldest["expires_at"] == newest["created_at"] + OVERLAP.total_seconds()
    assert all("secret" not in key for key in (newest, oldest))


def test_no_secret_of_one_tenant_is_anothers(api: Api) -> None:
    secrets = {api.send("POST", f"{KEYS}/rotate", tenant=tenant).json()["secret"] for tenant in ("acme", "globex")}
    assert len(secrets) == 2
    assert len(listed(api, KEYS, "globex")) == 1


@pytest.mark.requirement("A16")
def test_deliveries_are_listed_to_their_own_tenant(api: Api) -> None:
    jobs = [end_a_job(api) for _ in range(3)]
    found = listed(api)
    assert [delivery["job_id"] for delivery in found] == jobs[::-1]
    assert {(delivery["type"], delivery["status"]) for delivery in found} == {
        ("fine_tuning.job.cancelled", "pending"),
    }
    pages = [listed(api, f"{DELIVERIES}?limit=2"), listed(api, f"{DELIVERIES}?limit=2&after={found[1]['id']}")]
    assert [*pages[0], *pages[1]] == found
    assert listed(api, tenant="globex") == []
    assert listed(api, f"{DELIVERIES}?after={found[0]['id']}", "globex") == []


def test_a_replay_sends_the_same_event_again(api: Api) -> None:
    end_a_job(api)
    outbox, at = Outbox(api.rows.jobs.engine), datetime.now(UTC)
    [taken] = outbox.take(at=at, limit=9)
    outbox.disable(taken.delivery, status=410, at=at)
    [refused] = listed(api)
    assert (refused["status"], refused["last_status"]) == ("refused", 410)
    answer = api.send("POST", f"{DELIVERIES}/{refused['id']}/replay")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "pending", 0)
    [again] = outbox.take(at=datetime.now(UTC), limit=9)
    assert (again.delivery.id, again.delivery.body) == (taken.delivery.id, taken.delivery.body)
    assert audited(api.rows.jobs.engine, refused["id"]) == 1


def audited(engine: Engine, delivery: str) -> int:
    """How many entries of the audit speak of a delivery."""
    with reading(engine) as connection:
        return sum(delivery in row.resource for row in connection.execute(select(audit)))


def test_another_tenants_delivery_cannot_be_replayed(api: Api) -> None:
    end_a_job(api)
    [delivery] = listed(api)
    assert api.send("POST", f"{DELIVERIES}/{delivery['id']}/replay", tenant="globex").status_code == 404
    assert api.send("POST", f"{DELIVERIES}/evt_unknown/replay").status_code == 404


def test_without_a_master_key_there_is_no_secret(api: Api, tmp_path: Path) -> None:
    assert api.rows.webhooks is not None
    rows = replace(api.rows, webhooks=replace(api.rows.webhooks, signing=None))
    keyless = build(
        directory=read(write_directory(tmp_path / "directory")),
        intake=StoreIntake(rows.jobs.engine),
        tracing=tracing("ingest", None),
        rows=rows,
        buckets=None,
    )
    answer = replace(api, application=keyless).send("POST", f"{KEYS}/rotate")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "webhooks_unavailable")
    assert answer.headers["x-should-retry"] == "false"


def test_the_generation_before_signs_for_a_day_and_few_sign_at_once(engine: Engine) -> None:
    keys = WebhookKeys(engine)
    assert keys.live("acme", at=NOW) == [1]
    assert [keys.rotate("acme", at=NOW).generation for _ in range(2)] == [1, 2]
    assert keys.live("acme", at=NOW + timedelta(hours=23)) == [2, 1]
    assert keys.live("acme", at=NOW + timedelta(hours=24)) == [2]
    assert keys.live("globex", at=NOW) == [1]
    for _ in range(5):
        newest = keys.rotate("acme", at=NOW).generation
    assert keys.live("acme", at=NOW) == list(range(newest, newest - MOST_LIVE, -1))
