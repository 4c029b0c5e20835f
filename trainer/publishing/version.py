"""A model version as a sealed local folder: adapter/, card, report, provenance, signature, and the forms asked for."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.contract.bucket import ADAPTER, CARD, MANIFEST, PROVENANCE, REPORT, SIGNATURE
from trainer.outcomes import Unavailable
from trainer.publishing import signature
from trainer.publishing.card import Making, card, code
from trainer.publishing.manifest import listing, seal, to_json
from trainer.publishing.provenance import Made, statement
from trainer.settings import Origin


def facts_of(made: Made, *, exports: Mapping[str, Any]) -> dict[str, Any]:
    """What the version's manifest says beside its files."""
    settings, report, job = made.settings, made.report, made.settings.job
    return {
        "version": report.version,
        "tenant": job.tenant,
        "model": job.model,
        "job": job.job,
        "attempt": settings.attempt,
        "adapterDigest": report.adapter_digest,
        "baseDigest": made.base_digest,
        "datasetFingerprint": report.dataset_fingerprint,
        "recipe": {"name": job.recipe, "seed": job.seed, **made.recipe.model_dump(mode="json", by_alias=True)},
        "metrics": {"lossBefore": report.loss_before, "lossAfter": report.loss_after},
        "licences": dict(report.licences),
        "licencesToRead": list(report.licences_to_read),
        "nonCommercial": report.non_commercial,
        "exports": dict(exports),
        "traceparent": settings.traceparent,
        "traceId": settings.traceparent.split("-")[1] if settings.traceparent else None,
    }


def assemble(folder: Path, made: Made, adapter: Path, *, exports: Mapping[str, Any]) -> None:
    """Fill a folder that may hold exported forms already, and seal it. Raises BadInput and Unavailable."""
    origin, facts = made.settings.origin, facts_of(made, exports=exports)
    # once through JSON, so that the statement repeats the manifest's facts as a reader of both will see them
    made = replace(made, facts=json.loads(to_json(facts)))
    making = Making(
        job=made.settings.job,
        recipe=made.recipe,
        report=made.report,
        base_digest=made.base_digest,
        origin=origin,
        signer=signer(origin),
        traceparent=made.settings.traceparent,
        exports=exports,
    )
    try:
        (folder / ADAPTER).mkdir(parents=True)
        for path in adapter.iterdir():
            if path.is_file() and path.name != MANIFEST:  # the version has one manifest, over everything
                shutil.copyfile(path, folder / ADAPTER / path.name)
        (folder / CARD).write_text(card(making), encoding="utf-8")
        (folder / REPORT).write_text(to_json(made.report.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        payload = to_json(statement(made, listing(folder))).encode()
        (folder / PROVENANCE).write_bytes(payload)
        if (signed := signature.envelope(payload, origin)) is not None:
            (folder / SIGNATURE).write_text(to_json(signed), encoding="utf-8")
        seal(folder, facts)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written ({error.strerror}); free the disk") from error


def signer(origin: Origin) -> str:
    """Who vouches for the version, as the card says it. Raises BadInput for a key that cannot sign."""
    if origin.signing_key is not None:
        return f"by the key {code(signature.id_of(origin.signing_key))} over {PROVENANCE}"
    if origin.signing_command is not None:
        return f"by the operator's key service over {PROVENANCE}"
    return "none: this version is unsigned"
