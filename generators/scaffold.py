"""A new tenant: a commented file that passes, and on request a first model record beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

from app.contract.models import Serving
from generators import naming
from generators.inputs.folder import is_model_name, read_inputs
from generators.inputs.platform import Platform
from generators.inputs.reading import InputErrors, parse, read_document


class ScaffoldError(Exception):
    """The tenant cannot be made; the text has subject, rule and remedy."""


@dataclass(frozen=True)
class NewModel:
    """A first model record: its name and its base model."""

    name: str
    base: str


@dataclass(frozen=True)
class NewTenant:
    """What a new tenant file says; None takes the default that always fits."""

    id: str
    owner: str | None = None
    flavor: str | None = None
    guaranteed: int = 0
    api_key: tuple[str, str] | None = None  # id and sha256 of the whole key
    model: NewModel | None = None


def create(root: Path, wanted: NewTenant) -> list[Path]:
    """Write the files of a new tenant and return their paths.

    Raises ScaffoldError when the tenant cannot be, InputErrors when the inputs would not pass with it; then nothing
    is left behind.
    """
    tenant_file = root / "tenants" / f"{wanted.id}.yaml"
    if reason := naming.refusal_of(wanted.id):
        raise ScaffoldError(f"{wanted.id!r}: {reason}")
    if tenant_file.exists() or tenant_file.with_suffix("").exists():
        raise ScaffoldError(f"tenants/{wanted.id}.yaml: is there already; edit it, or choose another id")
    if wanted.model and not is_model_name(wanted.model.name):
        raise ScaffoldError(f"--model {wanted.model.name!r}: is no lower-case DNS label of 1-40 characters; rename it")
    platform = _platform(root)
    texts = {tenant_file: tenant_text(wanted, platform)}
    if wanted.model:
        path = root / "tenants" / wanted.id / "models" / f"{wanted.model.name}.yaml"
        texts[path] = model_text(wanted.model, platform)
    try:
        for path, text in texts.items():
            _write_new(path, text)
        read_inputs(root)
    except (InputErrors, ScaffoldError, OSError):
        _remove(root, wanted.id, list(texts))
        raise
    return list(texts)


def _write_new(path: Path, text: str) -> None:
    """Raises ScaffoldError, with the file's name: a full disk tells none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ScaffoldError(f"{path}: cannot be written ({error.strerror}); mend it and try again") from None


def tenant_text(wanted: NewTenant, platform: Platform) -> str:
    """The tenant file. Every optional key is there as a comment."""
    from generators.serving.rollout import peak_gpus

    owner = wanted.owner or f"@{wanted.id}/owners"
    flavor = wanted.flavor or next(iter(platform.gpu_flavors))
    return f"""# yaml-language-server: $schema=schema/tenant.json
# Everything of tenant {wanted.id} is derived from this file: `tenon render`, then `tenon prove`.
displayName: {wanted.id}
owners: [{_quoted(owner)}] # who approves changes of this file
isolation: standard # hard: the tenant's own jobs cannot reach each other either
# budget: {{monthly: 500, currency: {platform.prices.currency}, hardStop: false}}
limits: {{requestsPerSecond: 20, queuedJobs: 100, runningJobs: 2, datasetGiB: 5}}
training:
  runner: jobset # or trainjob, rayjob
  gpus: {{flavor: {_quoted(flavor)}, guaranteed: {wanted.guaranteed}, borrow: 1}} # borrow: while others leave them idle
credentials: # who may act for the tenant at the API
  - {_credential(wanted, platform)}
# egress: [mirror.example.org] # outside hosts that jobs may reach, exact names, port 443
# callbacks: [hooks.example.org] # hosts that callback URLs may name
serving: {{gpus: {peak_gpus(Serving())}}} # most at one time: one model with one replica has two while a canary runs
"""


def model_text(model: NewModel, platform: Platform) -> str:
    """The model record. Raises ScaffoldError when the base is not in the catalogue."""
    if model.base not in platform.catalogue:
        known = ", ".join(platform.catalogue)
        raise ScaffoldError(f"--base {model.base!r}: is not in the catalogue of platform.yaml; use one of: {known}")
    return f"""# yaml-language-server: $schema=../../schema/model.json
base: {_quoted(model.base)}
recipe: {_quoted(platform.catalogue[model.base].recipe)}
gate: {{minLossReduction: 0.05, maxRegression: 0.02, minEvaluationRows: 20}} # what a report must show
serving:
  runtime: vllm # or transformers
  replicas: 1
  gpusPerReplica: 1
  strategy: canary # or blueGreen
  canary: {{weights: [5, 10, 25, 50, 100], approval: manual}} # auto: no pause for a person
versions: [] # written by promotion
"""


def _credential(wanted: NewTenant, platform: Platform) -> str:
    if wanted.api_key:
        key_id, digest = wanted.api_key
        return f"apiKey: {{id: {_quoted(key_id)}, sha256: {_quoted(digest)}}} # of the whole key ftk_<id>_<secret>"
    if not platform.oidc_issuers:
        raise ScaffoldError("platform.yaml has no oidcIssuers; give --api-key-id and --api-key-sha256")
    issuer = _quoted(platform.oidc_issuers[0])
    return f"oidc: {{issuer: {issuer}, audience: tenon, claim: groups, value: {_quoted(wanted.id)}}}"


def _platform(root: Path) -> Platform:
    document = read_document(root / "platform.yaml", shown_as="platform.yaml")
    platform = parse(document, Platform)
    if platform is None:
        raise InputErrors(document.errors)
    return platform


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _remove(root: Path, tenant: str, paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in (root / "tenants" / tenant / "models", root / "tenants" / tenant):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
