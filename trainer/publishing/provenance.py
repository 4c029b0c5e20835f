"""Where a version comes from: an in-toto statement over every file of it, with SLSA's provenance as predicate.

Sources: in-toto attestation framework, Statement v1; slsa.dev/spec/v1.0/provenance. No clock goes in: the same job
gives the same statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.settings import Settings

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:tenon:training-job:v1"
LOCAL_BUILDER = "urn:tenon:trainer:local"  # no image was named: somebody's own machine


@dataclass(frozen=True)
class Made:
    """What a version was made of. facts: of its manifest. files: sha256 of `data` and `evaluation`, as they came."""

    settings: Settings
    recipe: Recipe
    report: Report
    base_digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def statement(made: Made, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """files: of the version's manifest, by path."""
    job, origin = made.settings.job, made.settings.origin
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": files[name]["sha256"]}} for name in sorted(files)],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"job": job.model_dump(mode="json", by_alias=True, exclude_none=True)},
                "internalParameters": {
                    "recipe": made.recipe.model_dump(mode="json", by_alias=True),
                    "version": dict(made.facts),
                },
                "resolvedDependencies": _dependencies(job, made),
            },
            "runDetails": {
                "builder": {"id": origin.image or LOCAL_BUILDER},
                "metadata": {"invocationId": f"{job.job}/{made.settings.attempt}"},
            },
        },
    }


def _dependencies(job: TrainingJob, made: Made) -> list[dict[str, Any]]:
    """Base, rows, prepared data set, code and image, as far as each is known."""
    licences, origin = made.report.licences, made.settings.origin
    places = {"data": job.data, "evaluation": job.evaluation}
    found: list[dict[str, Any]] = [{"name": "base", "uri": job.base, "digest": {"sha256": made.base_digest}}]
    found += [{"name": of, "uri": places[of], "digest": {"sha256": digest}} for of, digest in made.files.items()]
    for entry in found:
        if licence := licences.get(entry["name"]):
            entry["annotations"] = {"licence": licence}
    # over the rows, the chat template, the tokenizer and the filters: what was trained on
    found.append({"name": "prepared", "digest": {"sha256": made.report.dataset_fingerprint}})
    if origin.commit:
        found.append({"name": "code", "digest": {"gitCommit": origin.commit}})
    if origin.image:
        _, _, digest = origin.image.partition("@sha256:")
        found.append({"name": "image", "uri": origin.image, **({"digest": {"sha256": digest}} if digest else {})})
    return found
