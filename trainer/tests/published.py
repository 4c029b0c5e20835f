"""A published version for tests, made without training: an adapter folder, a report, and the step's own assembly."""

import json
from pathlib import Path
from typing import Any

from trainer.contract.bucket import ADAPTER, MANIFEST
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.publishing.manifest import seal, sha256_of
from trainer.publishing.provenance import Made
from trainer.publishing.version import assemble
from trainer.settings import Origin, Settings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BASE_DIGEST = "b" * 64


def report(digest: str, **changes: Any) -> Report:
    made = Report(
        status="published",
        job="j1",
        version="replies-j1",
        rows=90,
        evaluation_rows=10,
        dataset_fingerprint="d" * 64,
        steps=8,
        tokens=900,
        trainable_parameters=5,
        total_parameters=100,
        adapter_digest=digest,
        adapter_bytes=7,
        loss_before=2.0,
        loss_after=1.0,
        licences={"base": "apache-2.0"},
    )
    return made.model_copy(update=changes)


def made(tmp_path: Path, *, origin: Origin | None = None, digest: str = "a" * 64, **changes: Any) -> Made:
    job = TrainingJob(job="j1", tenant="acme", model="replies", base="s3://models/x", data="s3://acme/d.jsonl")
    settings = Settings(
        job=job,
        attempt_url=str(tmp_path / "attempt"),
        work=tmp_path / "work",
        traceparent=TRACEPARENT,
        origin=origin or Origin(image="registry.example/trainer@sha256:" + "c" * 64, commit="e" * 40),
    )
    return Made(settings, Recipe(), report(digest, **changes), BASE_DIGEST, {"data": "9" * 64})


def version(folder: Path, *, origin: Origin | None = None) -> Path:
    """A sealed version of some bytes."""
    adapter = folder / "trained"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}weights")
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
    seal(adapter, {"baseDigest": BASE_DIGEST})
    digest = sha256_of(adapter / "adapter_model.safetensors")
    target = folder / "version"
    assemble(target, made(folder, origin=origin, digest=digest), adapter, exports={})
    assert (target / MANIFEST).is_file()
    assert not (target / ADAPTER / MANIFEST).exists()
    return target
