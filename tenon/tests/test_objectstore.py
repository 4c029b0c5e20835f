"""Who may do what in the local object store."""

from itertools import permutations

import pytest

from tenon.objectstore import INGEST, PLATFORM, PROMOTER, rights

BUCKETS = {"acme": "tenon-acme", "globex": "tenon-globex", "initech": "tenon-initech"}


@pytest.mark.parametrize(("tenant", "other"), list(permutations(BUCKETS, 2)), ids=lambda name: name)
def test_no_right_of_a_tenant_names_another_tenants_bucket(tenant: str, other: str) -> None:
    assert not [right for right in rights(BUCKETS, "tenon-models")[tenant] if BUCKETS[other] in right]


def test_every_right_of_a_tenant_is_bound_to_a_bucket() -> None:
    granted = rights(BUCKETS, "tenon-models")
    assert all(":" in right for tenant in (*BUCKETS, INGEST, PROMOTER) for right in granted[tenant])
    assert [name for name, actions in granted.items() if "Admin" in actions] == [PLATFORM]


def test_base_models_are_read_only_for_tenants() -> None:
    assert not [right for right in rights(BUCKETS, "tenon-models")["acme"] if right == "Write:tenon-models"]
