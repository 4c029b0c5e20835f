"""The base model beside the tuned one for a while, each on servers of its own and in no user's traffic."""

from typing import Any

from app.contract.models import Experiment
from generators import naming, versions
from generators.serving import analysis
from generators.serving.runtimes import runtime
from generators.serving.server import START_SECONDS, Served, selector
from generators.training.content import hash8


def experiment(served: Served, asked: Experiment) -> dict[str, Any]:
    """Experiment `<model>-experiment-<hash8>`: it runs once, so another version or duration is another object.

    Its controller makes a Service for each of the two, named like its servers, by which whoever compares reaches them.
    """
    hashes = {"canary-hash": "{{templates.tuned.podTemplateHash}}", "stable-hash": "{{templates.base.podTemplateHash}}"}
    spec = {
        "duration": asked.duration,
        "progressDeadlineSeconds": 2 * START_SECONDS,
        "templates": [_template(part, asked.replicas) for part in compared(served)],
        "analyses": [
            {
                "name": "tuned-against-base",
                "templateName": analysis.comparison(served.model),
                "args": [{"name": name, "value": value} for name, value in hashes.items()],
            }
        ],
    }
    return {
        "apiVersion": versions.ARGO,
        "kind": "Experiment",
        "metadata": {
            "name": f"{served.model}-experiment-{hash8(spec)}",
            "labels": naming.labels(served.tenant.id),
        },
        "spec": spec,
    }


def compared(served: Served) -> tuple[Served, Served]:
    """The base model alone, and the version of a new pod."""
    of = (served.tenant, served.platform, served.model)
    return Served(*of, "base"), Served(*of, "tuned")


def _template(part: Served, replicas: int) -> dict[str, Any]:
    return {
        "name": part.part,
        "replicas": replicas,
        "minReadySeconds": 10,
        "service": {"name": part.name},
        "selector": {"matchLabels": selector(part.name)},
        "template": runtime(part).template(part),
    }
