"""A refusal names the step at which a roll-out needs its most GPUs."""

from typing import Any

import pytest

from generators.inputs.reading import Document
from generators.inputs.refusals import refuse_serving_peak
from generators.serving.rollout import peak_step
from generators.tests.samples import record, sample_tenant
from generators.tests.served import serving


@pytest.mark.parametrize(
    ("replicas", "changes", "step"),
    [
        (1, {}, "at weight 5"),
        (4, {}, "at weight 100"),
        (4, {"canary": {"weights": [50, 100]}}, "at weight 50"),
        (4, {"strategy": "blueGreen"}, "while both versions stand"),
        (3, {"ab": {"version": "replies-b"}}, "at weight 50 and beside arm b"),
        (3, {"experiment": {"replicas": 2}}, "at weight 50 and beside its experiment"),
    ],
)
def test_the_first_step_with_the_most_pods_is_named(replicas: int, changes: dict[str, Any], step: str) -> None:
    assert peak_step(serving(replicas, **changes)) == step


def test_the_refusal_of_a_quota_names_figure_and_step_of_each_model() -> None:
    tenant = sample_tenant(
        models={"replies": record(replicas=4), "extract": record(replicas=2, strategy="blueGreen")},
        serving={"gpus": 8},
    )
    document = Document("tenants/acme.yaml")
    refuse_serving_peak(tenant, document)
    (refusal,) = document.errors
    assert "(10: replies 6 at weight 100, extract 4 while both versions stand)" in str(refusal)
