"""The unmodified `openai` client against the ingest API over loopback, with uploads into a real SeaweedFS."""

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import openai
import pytest
from openai import OpenAI
from sqlalchemy import update

from app.buckets import Buckets
from app.contract.job import JobState
from app.store.engine import writing
from app.store.tables import jobs
from app.tests import objectstore
from app.tests.cast import KEYS, UNKNOWN_KEY
from app.tests.serving import Api, listening, serve

ROWS = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 3
URL = "s3://tenon-acme/datasets/rows.jsonl"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from objectstore.running(tmp_path_factory.mktemp("s3"))


@pytest.fixture(scope="module")
def api(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return serve(tmp_path_factory.mktemp("openai"), buckets=Buckets(s3))


@pytest.fixture(scope="module")
def url(api: Api) -> Iterator[str]:
    with listening(api.application) as url:
        yield f"{url}/v1"


@pytest.fixture
def acme(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key=KEYS["acme"]) as client:
        yield client


@pytest.fixture
def globex(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key=KEYS["globex"]) as client:
        yield client


@pytest.mark.requirement("A11")
def test_a_job_goes_from_its_upload_to_its_cancellation(acme: OpenAI) -> None:
    file = acme.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    job = acme.fine_tuning.jobs.create(
        model="smollm2-135m",
        training_file=file.id,
        suffix="replies",
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}},
        metadata={"team": "support"},
    )
    assert (job.object, job.status, job.model, job.training_file) == (
        "fine_tuning.job",
        "queued",
        "smollm2-135m",
        file.id,
    )
    assert job.hyperparameters.n_epochs == 2
    assert acme.fine_tuning.jobs.retrieve(job.id) == job
    assert [each.id for each in acme.fine_tuning.jobs.list(limit=1).data] == [job.id]
    assert [event.message for event in acme.fine_tuning.jobs.list_events(job.id)] == ["queued"]
    assert acme.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_a_job_that_has_ended_is_not_cancelled_and_not_asked_again(api: Api, acme: OpenAI) -> None:
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL)
    with writing(api.rows.jobs.engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(state=JobState.SUCCEEDED))
    with pytest.raises(openai.ConflictError, match="nothing to cancel") as ended:
        acme.fine_tuning.jobs.cancel(job.id)
    assert (ended.value.code, ended.value.response.headers["x-should-retry"]) == ("job_ended", "false")
    assert acme.fine_tuning.jobs.retrieve(job.id).fine_tuned_model == f"replies-{job.id[:12]}"


@pytest.mark.requirement("A6")
def test_one_key_through_both_apis_is_one_job(api: Api, acme: OpenAI) -> None:
    file = acme.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    headers = {"Idempotency-Key": "both"}
    job = acme.fine_tuning.jobs.create(model="replies", training_file=file.id, extra_headers=headers)
    wanted = {"modelId": "replies", "datasetUrl": file.id, "tenantId": "acme"}
    again = api.submit(wanted, headers=headers)
    stored = api.rows.files.get("acme", file.id)
    assert stored is not None
    by_url = api.submit({**wanted, "datasetUrl": f"s3://tenon-acme/{stored.key}"}, headers=headers)
    assert {again.json()["jobId"], by_url.json()["jobId"]} == {job.id}


def test_pages_end_and_follow_each_other(globex: OpenAI) -> None:
    made = [
        globex.fine_tuning.jobs.create(model="replies", training_file=f"s3://tenon-globex/{number}").id
        for number in range(5)
    ]
    assert [job.id for job in globex.fine_tuning.jobs.list(limit=2)] == made[::-1]


def test_a_list_is_filtered_by_metadata(acme: OpenAI) -> None:
    made = acme.fine_tuning.jobs.create(model="replies", training_file=URL, metadata={"run": "night [1]"})
    acme.fine_tuning.jobs.create(model="replies", training_file=URL, metadata={"run": "day"})
    assert [job.id for job in acme.fine_tuning.jobs.list(metadata={"run": "night [1]"})] == [made.id]


@pytest.mark.parametrize("key", ['a"b', "a\\b", "$", "a.b", "[0]", "é", ""])
def test_any_metadata_key_may_be_asked_for(api: Api, key: str) -> None:
    made = api.submit({"modelId": "replies", "datasetUrl": URL, "metadata": {key: "yes"}}).json()["jobId"]
    answer = api.send("GET", "/v1/fine_tuning/jobs", params={f"metadata[{key}]": "yes"})
    assert answer.status_code == 200
    assert made in [job["id"] for job in answer.json()["data"]]


def test_the_models_are_bases_records_and_versions_in_use(acme: OpenAI) -> None:
    owners = {model.id: model.owned_by for model in acme.models.list()}
    assert owners == {"smollm2-135m": "platform", "b" * 50: "platform", "replies": "acme", "replies-1": "acme"}


@pytest.mark.requirement("A17")
def test_another_tenants_files_and_jobs_are_not_there(acme: OpenAI, globex: OpenAI) -> None:
    file = acme.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id
    job = acme.fine_tuning.jobs.create(model="replies", training_file=file).id
    reads: list[Callable[[], object]] = [partial(globex.files.retrieve, file), partial(globex.files.content, file)]
    reads += [partial(call, job) for call in (globex.fine_tuning.jobs.retrieve, globex.fine_tuning.jobs.cancel)]
    reads.append(lambda: globex.fine_tuning.jobs.list_events(job))
    for read in reads:
        with pytest.raises(openai.NotFoundError):
            read()
    with pytest.raises(openai.BadRequestError, match="no file of yours"):
        globex.fine_tuning.jobs.create(model="replies", training_file=file)
    assert file not in [other.id for other in globex.files.list()]


def test_an_unknown_key_is_an_authentication_error(url: str) -> None:
    with OpenAI(base_url=url, api_key=UNKNOWN_KEY) as nobody, pytest.raises(openai.AuthenticationError) as refusal:
        nobody.models.list()
    assert refusal.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("fields", "parameter", "told"),
    [
        ({"model": "gpt-4o"}, "model", "use one of"),
        ({"training_file": "file-none"}, "training_file", "no id of a file"),
        ({"validation_file": "s3://tenon-globex/rows"}, "validation_file", "own bucket"),
        ({"suffix": "No Label"}, "suffix", "match pattern"),
        ({"seed": -1}, "seed", "greater than"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "no integration"),
        ({"hyperparameters": {"n_epochs": 1000}}, "hyperparameters.n_epochs", "less than"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs", "auto or a number"),
        ({"hyperparameters": {"batch_size": 0}}, "hyperparameters.batch_size", "greater than"),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"learning_rate_multiplier": 1000}}}},
            "method.supervised.hyperparameters.learning_rate_multiplier",
            "less than",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": -1}}}},
            "method.dpo.hyperparameters.beta",
            "greater than",
        ),
        ({"method": {"type": "dpo", "supervised": {}}}, "method", "leave those out"),
        ({"method": {"type": "reinforcement"}}, "method.type", "supervised"),
        ({"method": {"type": "dpo"}, "hyperparameters": {}}, None, "keep method"),
        ({"extra_body": {"priority": 1}}, "priority", "no field"),
    ],
)
def test_a_bad_field_is_named_in_openais_words(
    acme: OpenAI, fields: dict[str, Any], parameter: str | None, told: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=told) as refusal:
        acme.fine_tuning.jobs.create(**{"model": "replies", "training_file": URL, **fields})
    assert refusal.value.param == parameter


@pytest.mark.parametrize(
    ("limit", "path"), [("0", "files"), ("x", "files"), ("101", "fine_tuning/jobs"), ("", "files")]
)
def test_a_limit_that_is_none_is_refused(api: Api, limit: str, path: str) -> None:
    answer = api.send("GET", f"/v1/{path}", params={"limit": limit})
    assert (answer.status_code, answer.json()["invalidParams"][0]["field"]) == (400, "limit")


@pytest.mark.requirement("A11")
def test_a_method_comes_back_as_it_was_asked_for(api: Api, acme: OpenAI) -> None:
    tunables = {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 0.5, "beta": 0.2}
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": tunables}}
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL, method=method)
    assert job.method is not None
    assert job.method.model_dump(exclude_unset=True) == method
    stored = api.rows.jobs.get("acme", job.id)
    assert stored is not None
    asked = stored.envelope.training.hyperparameters
    assert (asked.objective, asked.beta, asked.batch_rows, asked.learning_rate_multiplier) == ("dpo", 0.2, 8, 0.5)


def test_auto_is_the_recipes_own_value(acme: OpenAI) -> None:
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": "auto", "beta": "auto"}}}
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL, method=method, integrations=[])
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert set(job.method.dpo.hyperparameters.model_dump().values()) == {"auto"}


def test_a_job_is_paused_and_goes_on(acme: OpenAI) -> None:
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL)
    assert acme.fine_tuning.jobs.pause(job.id).status == "paused"  # type: ignore[comparison-overlap]  # theirs are fewer
    assert acme.fine_tuning.jobs.resume(job.id).status == "queued"


def test_what_cannot_be_moved_is_409_and_not_asked_again(acme: OpenAI) -> None:
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL)
    acme.fine_tuning.jobs.cancel(job.id)
    for move in (acme.fine_tuning.jobs.pause, acme.fine_tuning.jobs.resume):
        with pytest.raises(openai.ConflictError) as refusal:
            move(job.id)
        assert (refusal.value.code, refusal.value.response.headers["x-should-retry"]) == ("job_ended", "false")


def test_a_model_is_retrieved_and_only_git_deletes_it(acme: OpenAI) -> None:
    assert acme.models.retrieve("replies").owned_by == "acme"
    with pytest.raises(openai.PermissionDeniedError, match="tenants/acme/models"):
        acme.models.delete("replies")
    with pytest.raises(openai.NotFoundError):
        acme.models.retrieve("unheard-of")


def test_how_rows_are_masked_is_read_once_prepare_has_left_it(api: Api, s3: str, acme: OpenAI) -> None:
    path = f"/v1/fine_tuning/jobs/{acme.fine_tuning.jobs.create(model='replies', training_file=URL).id}"
    early = api.send("GET", f"{path}/preview")
    assert (early.status_code, early.json()["error"]["code"]) == (404, "preview_not_ready")
    job = path.rpartition("/")[2]
    with writing(api.rows.jobs.engine) as connection:
        connection.execute(update(jobs).where(jobs.c.id == job).values(attempt=2))
    row = {"line": 1, "rejected": False, "tokens": [{"id": 5, "text": "hi", "learned": True}]}
    key = f"jobs/{job}/1/preview.json"
    Buckets(s3).put("tenon-acme", key, io.BytesIO(json.dumps({"rows": [row]}).encode()))
    assert api.send("GET", f"{path}/preview").json()["data"] == [row]
    Buckets(s3).put("tenon-acme", key, io.BytesIO(b"[]"))
    assert api.send("GET", f"{path}/preview").json()["error"]["code"] == "preview_unreadable"
    assert api.send("GET", f"{path}/preview", tenant="globex").json()["error"]["code"] == "not_found"
