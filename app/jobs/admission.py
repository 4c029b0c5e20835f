"""Whether a request becomes a job: a pure rule over the request, the tenant's entry and the platform's.

Nothing is fetched: a dataset is checked by scheme, bucket and key alone, and is read inside the tenant's own pods.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from app.contract.directory import CatalogueEntry, PlatformEntry, TenantEntry
from app.contract.job import FinetuneRequest, JobEnvelope
from trainer.contract.job import ModelName, TrainingJob

FILE_ID = re.compile(r"file-[0-9a-z]{26}")
HTTPS_PORT = 443

# Printable ASCII without what a shell, an URL or a path could read as more than a name.
_KEY = re.compile(r"[A-Za-z0-9_.=@+,/-]{1,900}")
_URL_CHARACTERS = re.compile(r"[!-~]+")  # printable ASCII: no blank, no control character
_MODEL_NAME: TypeAdapter[str] = TypeAdapter(ModelName)


@dataclass(frozen=True)
class Refusal:
    """Why one field of a request is refused; `field` is a name of the body, with dots where it lies deeper."""

    field: str
    code: str
    text: str


class Refused(Exception):  # noqa: N818 - several refusals at once
    """The request is no job; all its refusals."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("; ".join(f"{refusal.field}: {refusal.text}" for refusal in refusals))
        self.refusals = tuple(refusals)


@dataclass(frozen=True)
class Admission:
    """What a request is held against: entries of the directory, and the bucket keys of uploaded files by their id."""

    tenant: TenantEntry
    platform: PlatformEntry
    files: Mapping[str, str]


@dataclass(frozen=True)
class _Model:
    """The model record a job trains for, there already or first named by this job."""

    name: str
    base: CatalogueEntry
    recipe: str


def files_named(wanted: FinetuneRequest) -> tuple[str, ...]:
    """Ids of uploaded files in the request, to be looked up among the tenant's own."""
    urls = (wanted.dataset_url, wanted.evaluation_url)
    return tuple(url for url in urls if url is not None and FILE_ID.fullmatch(url))


def admit(wanted: FinetuneRequest, admission: Admission, *, job: str, created_at: datetime) -> JobEnvelope:
    """The job. Raises Refused with every refusal."""
    refusals: list[Refusal] = []
    model = _model(wanted, admission, refusals)
    data = _dataset(wanted.dataset_url, admission, refusals, field="datasetUrl")
    evaluation = None
    if wanted.evaluation_url is not None:
        evaluation = _dataset(wanted.evaluation_url, admission, refusals, field="evaluationUrl")
    _callback(wanted.callback_url, admission.tenant, refusals)
    if model is not None:
        _recipe(wanted, admission, refusals, recipe=model.recipe)
    if refusals or model is None:
        raise Refused(refusals)
    training = TrainingJob(
        job=job,
        tenant=admission.tenant.id,
        model=model.name,
        base=f"s3://{admission.platform.models_bucket}/{model.base.digest}",
        base_digest=model.base.digest,
        data=data,
        evaluation=evaluation,
        recipe=model.recipe,
        data_licence=wanted.data_licence,
        filters=wanted.filters,
        checks=wanted.checks,
        hyperparameters=wanted.hyperparameters,
        search=wanted.search,
        exports=wanted.exports,
        seed=wanted.seed,
    )
    return JobEnvelope(
        id=job,
        tenant=admission.tenant.id,
        training=training,
        metadata=wanted.metadata,
        callback_url=wanted.callback_url,
        request_hash=_request_hash(training, wanted),
        created_at=created_at,
    )


def _request_hash(training: TrainingJob, wanted: FinetuneRequest) -> str:
    """The same for two requests that make the same job, whichever API they came through."""
    meaning = {
        "training": training.model_dump(mode="json", exclude={"job"}),
        "metadata": wanted.metadata,
        "callback": wanted.callback_url,
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _model(wanted: FinetuneRequest, admission: Admission, refusals: list[Refusal]) -> _Model | None:
    """A record of the tenant goes before a base of the same name. A record's base was held to its licence in Git."""
    tenant, catalogue = admission.tenant, admission.platform.catalogue
    if wanted.model_id in tenant.models:
        return _of_record(wanted, admission, refusals)
    bases = catalogue.keys() & set(tenant.bases)
    if wanted.model_id in bases:
        return _of_base(wanted, admission, refusals)
    known = ", ".join(sorted({*tenant.models, *bases}))
    if refused := catalogue.get(wanted.model_id):
        text = f"has licence {refused.licence}, which forbids what {tenant.id} is for; use one of {known}"
        refusals.append(Refusal("modelId", "base_not_allowed", text))
        return None
    text = f"is neither a model record of {tenant.id} nor a base of the catalogue; use one of {known}"
    refusals.append(Refusal("modelId", "model_not_found", text))
    return None


def _of_record(wanted: FinetuneRequest, admission: Admission, refusals: list[Refusal]) -> _Model | None:
    record = admission.tenant.models[wanted.model_id]
    if wanted.suffix not in {None, wanted.model_id}:
        refusals.append(Refusal("suffix", "suffix_not_allowed", "modelId is a model record; leave suffix out"))
    if (base := admission.platform.catalogue.get(record.base)) is None:
        text = f"the record's base {record.base} has left the catalogue; name one of platform.yaml in the record"
        refusals.append(Refusal("modelId", "base_not_found", text))
        return None
    return _Model(wanted.model_id, base, record.recipe)


def _of_base(wanted: FinetuneRequest, admission: Admission, refusals: list[Refusal]) -> _Model | None:
    base = admission.platform.catalogue[wanted.model_id]
    name = wanted.suffix or wanted.model_id
    record = admission.tenant.models.get(name)
    if not _is_model_name(name):
        text = "a base's name of more than 40 characters names no model record; choose a suffix"
        refusals.append(Refusal("suffix", "suffix_missing", text))
        return None
    if record is not None and record.base != wanted.model_id:
        text = f"the model record {name} tunes {record.base}, not {wanted.model_id}; choose another suffix"
        refusals.append(Refusal("suffix", "base_differs", text))
        return None
    return _Model(name, base, record.recipe if record else base.recipe)


def _recipe(wanted: FinetuneRequest, admission: Admission, refusals: list[Refusal], *, recipe: str) -> None:
    """What would else fail hours later in the tenant's pod; it does, where the directory lacks the recipe's entry."""
    asked = wanted.hyperparameters
    if wanted.search is not None and recipe not in admission.tenant.search_templates:
        text = f"no search is offered with recipe {recipe}; leave it out, or add its search template to the tenant"
        refusals.append(Refusal("search", "search_not_offered", text))
    if (entry := admission.platform.recipe_entries.get(recipe)) is None:
        return
    if asked.batch_rows is not None and asked.batch_rows % entry.batch_multiple:
        text = f"must be a multiple of {entry.batch_multiple}, the rows that go through recipe {recipe} at a time"
        refusals.append(Refusal("hyperparameters.batchRows", "batch_rows", text))
    if asked.objective == "dpo" and entry.method == "full":
        text = f"recipe {recipe} trains all weights, which dpo cannot; choose a model with another recipe"
        refusals.append(Refusal("hyperparameters.objective", "objective", text))


def _is_model_name(name: str) -> bool:
    try:
        _MODEL_NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _dataset(url: str, admission: Admission, refusals: list[Refusal], *, field: str) -> str:
    """The dataset as an s3 URL; what it returns beside a refusal is never used."""
    bucket = admission.tenant.bucket
    if FILE_ID.fullmatch(url):
        if key := admission.files.get(url):
            return f"s3://{bucket}/{key}"
        refusals.append(Refusal(field, "file_not_found", "no file of yours has this id; upload it to /v1/files"))
        return url
    if url.startswith("file-"):
        refusals.append(Refusal(field, "file_not_found", "is no id of a file; upload it to /v1/files"))
        return url
    prefix = f"s3://{bucket}/"
    if not url.startswith(prefix):
        text = f"is not in your own bucket; give {prefix}<key> or the id of an uploaded file"
        refusals.append(Refusal(field, "bucket_not_allowed", text))
    elif not _is_plain_key(url.removeprefix(prefix)):
        text = "is no plain object key; use letters, digits, `._-` and single slashes, and name an object"
        refusals.append(Refusal(field, "key_invalid", text))
    return url


def _is_plain_key(key: str) -> bool:
    return bool(_KEY.fullmatch(key)) and not {"", ".", ".."} & set(key.split("/"))


def _callback(url: str | None, tenant: TenantEntry, refusals: list[Refusal]) -> None:
    """Only the name is judged here; the address is vetted when it is dialled."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # brackets that hold no address
        refusals.append(Refusal("callbackUrl", "callback_invalid", "is no URL; give https://<host>/<path>"))
        return
    exact = parts.scheme == "https" and parts.netloc in {host, f"{host}:{HTTPS_PORT}"} and not parts.fragment
    if not exact or not _URL_CHARACTERS.fullmatch(url):
        text = "must be https on port 443 with a lower-case host, and without user, password or fragment"
        refusals.append(Refusal("callbackUrl", "callback_invalid", text))
    elif host not in tenant.callbacks:
        text = f"names a host that is not among callbacks of tenants/{tenant.id}.yaml; add it there"
        refusals.append(Refusal("callbackUrl", "callback_not_allowed", text))
