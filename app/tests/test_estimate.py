"""What a job would take, what it may ask for, and why it waits: told before it is paid for."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.buckets import Buckets
from app.contract.cost import Cost
from app.contract.directory import Budget, Limits
from app.jobs.estimate import Past, forecast
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.files import StoredFile
from app.store.ledger import Ledger
from app.tests.cast import tenant_entry
from app.tests.serving import REQUEST, Api, serve
from trainer.contract.report import Usage

ASKED = {"model": "smollm2-135m", "training_file": "file-" + "0" * 26}
PAST = Past("old", "cpu", 2, 1000, 2000, is_same_data=False, usage=Usage(cpu_seconds=50, gpu_seconds=10))


def test_tokens_are_those_of_a_job_over_the_same_rows() -> None:
    same = Past("same", "other", 4, 800, None, is_same_data=True, usage=Usage())
    assert forecast(10_000, epochs=3, recipe="cpu", past=[PAST, same]).tokens == 600


def test_without_the_same_rows_tokens_are_by_the_bytes_of_others() -> None:
    found = forecast(10_000, epochs=1, recipe="cpu", past=[PAST])
    assert found.tokens == 2500  # 2000 bytes made 500 tokens an epoch
    assert found.usage == Usage(cpu_seconds=125, gpu_seconds=25)


def test_what_no_job_has_shown_is_not_made_up() -> None:
    found = forecast(10_000, epochs=1, recipe="new", past=[PAST])
    assert found.usage is None
    assert "unknown" in found.basis[1]


@given(st.integers(1, 10**12), st.integers(1, 100), st.integers(2, 9))
def test_a_forecast_grows_with_rows_and_epochs(size: int, epochs: int, factor: int) -> None:
    one = forecast(size, epochs=epochs, recipe="cpu", past=[PAST])
    more = forecast(size * factor, epochs=epochs * factor, recipe="cpu", past=[PAST])
    assert more.tokens >= one.tokens
    assert more.usage is not None
    assert one.usage is not None
    assert more.usage.cpu_seconds >= one.usage.cpu_seconds


@pytest.fixture
def api(tmp_path: Path) -> Api:
    budget = Budget(monthly=Decimal(10), hard_stop=True)
    limits = Limits(requests_per_second=1000, running_jobs=1)
    acme = tenant_entry(limits=limits).model_copy(update={"budget": budget})
    made = serve(tmp_path, acme, tenant_entry("globex"), buckets=Buckets("http://127.0.0.1:1"))
    name = ASKED["training_file"]
    file = StoredFile(name, "acme", "r", 8000, "fine-tune", f"datasets/{name}-r", "0", datetime.now(UTC))
    made.rows.files.add(file)
    return made


def end(api: Api, job: str, **numbers: float) -> None:
    """Let a job succeed that cost one euro."""
    attempts = Attempts(api.rows.jobs.engine)
    assert attempts.begin(job, cap=9)
    attempt = attempts.unconfirmed()[0]
    used, cost = Usage(cpu_seconds=3600), Cost(amount=Decimal(1), currency="EUR")
    Ledger(api.rows.jobs.engine).note(attempt, usage=used, waited_seconds=0, cost=cost, final=True)
    attempts.progress(job, 1, numbers=numbers, data={})
    attempts.finish(attempt, Move.SUCCEED)


def estimate(api: Api, **changes: Any) -> Any:
    return api.send("POST", "/v1/fine_tuning/jobs/estimate", json={**ASKED, **changes})


def test_an_estimate_says_what_it_rests_on_and_makes_no_job(api: Api) -> None:
    found = estimate(api).json()
    assert (found["tokens"], found["epochs"], found["cost"]) == (8000 // 4 * 2, 2, None)
    assert "rule of thumb" in found["basis"][0]
    assert api.send("GET", "/v1/fine_tuning/jobs").json()["data"] == []


def test_an_estimate_follows_what_jobs_of_the_recipe_have_cost(api: Api) -> None:
    end(api, api.submit({**REQUEST, "datasetUrl": ASKED["training_file"]}).json()["jobId"], tokens=400.0)
    found = estimate(api, method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}}).json()
    assert (found["tokens"], found["cpu_seconds"]) == (800, 7200)
    assert found["cost"] == {"amount": "0.0800", "currency": "EUR"}  # 2 hours at 0.04
    assert found["budget"]["remaining"] == "9.0000"
    assert (found["within_budget"], found["allowed_to_proceed"]) == (True, True)


def test_a_spent_budget_with_a_hard_stop_allows_nothing_and_says_why_a_job_waits(api: Api) -> None:
    for _ in range(10):
        end(api, api.submit().json()["jobId"])
    assert estimate(api).json()["allowed_to_proceed"] is False
    queued = api.submit().json()["jobId"]
    assert api.send("GET", f"/v1/fine_tuning/jobs/{queued}").json()["queue"]["reason"] == "budget_spent"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"model": "unheard-of"}, "model"), ({"training_file": "s3://tenon-globex/x"}, "training_file")],
)
def test_an_estimate_refuses_what_a_create_refuses(api: Api, changes: dict[str, str], field: str) -> None:
    answer = estimate(api, **changes)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_an_estimate_over_a_dead_object_store_is_503(api: Api) -> None:
    assert estimate(api, training_file="s3://tenon-acme/datasets/x").status_code == 503


def test_a_waiting_job_tells_its_place_and_a_finished_one_its_cost(api: Api) -> None:
    first, second = (api.submit().json()["jobId"] for _ in range(2))
    queue = api.send("GET", f"/v1/fine_tuning/jobs/{second}").json()["queue"]
    assert (queue["position"], queue["reason"]) == (2, "next_turn")
    end(api, first)
    shown = api.send("GET", f"/v1/fine_tuning/jobs/{first}").json()
    assert (shown["queue"], shown["cost"]) == (None, {"amount": "1.0000", "currency": "EUR"})


def test_limits_are_those_that_requests_are_held_to(api: Api) -> None:
    found = {each["model"]: each for each in api.send("GET", "/v1/fine_tuning/models/limits").json()["data"]}
    assert set(found) == {"replies", "smollm2-135m", "b" * 50}
    limits = found["smollm2-135m"]
    assert (limits["context_width"], limits["gpus"], limits["batch_multiple"]) == (512, 0, 2)
    epochs = limits["hyperparameters"]["epochs"]
    assert (epochs["minimum"], epochs["maximum"], epochs["default"]) == (1, 100, 2)
    for wrong in (epochs["minimum"] - 1, epochs["maximum"] + 1):
        assert api.submit({**REQUEST, "hyperparameters": {"epochs": wrong}}).status_code == 400


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hyperparameters": {"batchRows": 3}}, "hyperparameters.batchRows"),
        ({"search": {}}, "search"),
    ],
)
def test_what_would_fail_hours_later_is_refused_by_its_field(api: Api, changes: dict[str, Any], field: str) -> None:
    answer = api.submit({**REQUEST, **changes})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
