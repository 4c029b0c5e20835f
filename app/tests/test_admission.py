"""Admission: what a request becomes, and every way in which it becomes nothing."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.job import FinetuneRequest, JobEnvelope
from app.jobs.admission import Admission, Refused, admit, files_named
from app.jobs.ids import Ids
from app.tests.cast import DIGEST, FORBIDDEN, platform_entry, tenant_entry

FILE = "file-" + "0" * 26
ADMISSION = Admission(tenant_entry("acme"), platform_entry(), {FILE: f"datasets/{FILE}-rows.jsonl"})
OWN = "s3://tenon-acme/datasets/rows.jsonl"
LONG_BASE = "b" * 50


def admitted(job: str = "j1", **fields: Any) -> JobEnvelope:
    wanted = FinetuneRequest(**{"model_id": "smollm2-135m", "dataset_url": OWN, **fields})
    return admit(wanted, ADMISSION, job=job, created_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_record_brings_its_base_and_recipe() -> None:
    training = admitted(model_id="replies").training
    assert (training.model, training.recipe) == ("replies", "smollm2-135m-slow")
    assert training.base == f"s3://tenon-models/{DIGEST}"
    assert training.base_digest == DIGEST


@pytest.mark.parametrize(
    ("suffix", "model", "recipe"),
    [
        (None, "smollm2-135m", "smollm2-135m-cpu"),
        ("new-model", "new-model", "smollm2-135m-cpu"),
        ("replies", "replies", "smollm2-135m-slow"),
    ],
)
def test_a_base_trains_for_the_record_that_the_suffix_names(suffix: str | None, model: str, recipe: str) -> None:
    training = admitted(suffix=suffix).training
    assert (training.model, training.recipe) == (model, recipe)


@pytest.mark.requirement("A17")
def test_an_uploaded_file_is_found_in_the_tenants_own_bucket() -> None:
    assert admitted(dataset_url=FILE).training.data == f"s3://tenon-acme/datasets/{FILE}-rows.jsonl"


@pytest.mark.requirement("A4")
@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"model_id": "gpt-4o"}, "modelId", "model_not_found"),
        ({"model_id": "../replies"}, "modelId", "model_not_found"),
        ({"model_id": FORBIDDEN}, "modelId", "base_not_allowed"),
        ({"model_id": FORBIDDEN, "suffix": "replies"}, "modelId", "base_not_allowed"),
        ({"model_id": "replies", "suffix": "other"}, "suffix", "suffix_not_allowed"),
        ({"model_id": LONG_BASE}, "suffix", "suffix_missing"),
        ({"model_id": LONG_BASE, "suffix": "replies"}, "suffix", "base_differs"),
        ({"dataset_url": "s3://tenon-globex/datasets/rows.jsonl"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "s3://tenon-acme.evil/rows"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "s3://tenon-acme"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "S3://tenon-acme/rows"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "https://tenon-acme/rows"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "file:///etc/passwd"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "http://169.254.169.254/latest"}, "datasetUrl", "bucket_not_allowed"),
        ({"dataset_url": "s3://tenon-acme/"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "s3://tenon-acme/a/../../b"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "s3://tenon-acme//rows"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "s3://tenon-acme/rows?versionId=1"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "s3://tenon-acme/rows\n"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "s3://tenon-acme/$(id)"}, "datasetUrl", "key_invalid"),
        ({"dataset_url": "file-" + "1" * 26}, "datasetUrl", "file_not_found"),
        ({"evaluation_url": "s3://tenon-globex/rows"}, "evaluationUrl", "bucket_not_allowed"),
        ({"callback_url": "http://hooks.acme.example/"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://user:pw@hooks.acme.example/"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://hooks.acme.example:8443/"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://hooks.acme.example/#f"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://hooks.acme.example/a b"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://hooks.acme.example\\@evil.example/"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://[::1"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https://[::1]/"}, "callbackUrl", "callback_invalid"),
        ({"callback_url": "https:///path"}, "callbackUrl", "callback_not_allowed"),
        ({"callback_url": "https://hooks.globex.example/"}, "callbackUrl", "callback_not_allowed"),
        ({"callback_url": "https://127.0.0.1/"}, "callbackUrl", "callback_not_allowed"),
        ({"callback_url": "https://x.hooks.acme.example/"}, "callbackUrl", "callback_not_allowed"),
    ],
)
def test_a_refusal_names_field_and_rule(fields: dict[str, str], field: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        admitted(**fields)
    assert [(refusal.field, refusal.code) for refusal in refused.value.refusals] == [(field, code)]


def test_a_base_that_a_licence_forbids_is_named_with_the_licence_and_those_that_are_left() -> None:
    with pytest.raises(Refused, match=r"has licence research-only, .*; use one of b{50}, replies, smollm2-135m"):
        admitted(model_id=FORBIDDEN)


def test_all_refusals_come_at_once() -> None:
    with pytest.raises(Refused) as refused:
        admitted(model_id="none", dataset_url="s3://other/rows", callback_url="http://hooks.acme.example/")
    assert [refusal.field for refusal in refused.value.refusals] == ["modelId", "datasetUrl", "callbackUrl"]


def test_a_callback_to_a_named_host_is_kept() -> None:
    url = "https://hooks.acme.example:443/done?x=1"
    assert admitted(callback_url=url).callback_url == url


def test_the_request_hash_is_the_jobs_meaning_and_not_its_id() -> None:
    by_key, by_file = (
        admitted(job="j2", dataset_url=f"s3://tenon-acme/datasets/{FILE}-rows.jsonl"),
        admitted(dataset_url=FILE),
    )
    assert by_key.request_hash == by_file.request_hash
    others = [admitted(seed=1), admitted(metadata={"a": "b"}), admitted(callback_url="https://hooks.acme.example/")]
    assert len({job.request_hash for job in (admitted(), by_file, *others)}) == 5


@given(st.text(max_size=80))
def test_no_text_leads_out_of_the_tenants_bucket(text: str) -> None:
    url = f"s3://tenon-acme/{text}"
    try:
        training = admitted(dataset_url=url[:1024]).training
    except Refused:
        return
    assert training.data.startswith("s3://tenon-acme/")
    assert ".." not in training.data.split("/")
    assert json.loads(json.dumps(training.data)) == training.data


def test_files_named_are_the_uploaded_ones() -> None:
    wanted = FinetuneRequest(model_id="replies", dataset_url=FILE, evaluation_url=OWN)
    assert files_named(wanted) == (FILE,)


@given(st.integers(0, 2**34), st.integers(0, 2**34))
def test_drawn_ids_sort_by_second_and_fit_kubernetes_names(first: int, second: int) -> None:
    early, late = sorted((first, second))
    ids = [Ids(clock=lambda now=now: float(now), random_bits=lambda _bits: 0).draw() for now in (early, late)]  # type: ignore[misc]
    assert ids == sorted(ids)
    assert all(len(drawn) == 26 and drawn.isalnum() and drawn == drawn.lower() for drawn in ids)


def test_drawn_ids_differ() -> None:
    assert len({Ids().draw() for _ in range(100)}) == 100
