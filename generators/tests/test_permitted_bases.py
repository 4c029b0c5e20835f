"""The services know which bases a tenant may tune: those whose licence permits its use."""

import pytest

from generators.foundation.directory import tenant_entry
from generators.tests.samples import DIGEST, sample_platform, sample_tenant
from generators.training.templates import TrainingTemplates

BASE = {"source": "s", "digest": DIGEST, "licence": "l", "memoryGiB": 2, "recipe": "smollm2-135m-t4"}
CATALOGUE = {"free": BASE, "study": {**BASE, "forbids": ["commercial"]}}


@pytest.mark.parametrize(("use", "bases"), [("commercial", ("free",)), ("research", ("free", "study"))])
def test_a_base_whose_licence_forbids_the_use_is_not_the_tenants_to_tune(use: str, bases: tuple[str, ...]) -> None:
    platform = sample_platform(catalogue=CATALOGUE)
    tenant = sample_tenant(use=use)
    assert tenant_entry(tenant, platform, TrainingTemplates({}, {}, {}, ())).bases == bases
