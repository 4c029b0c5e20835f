"""Of each tenant and each foreign bucket: which locks hold, and how strong the claim is that may be made."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree
from isolation.network.storage_claims import (
    ADDRESS,
    CREDENTIALS,
    DNS_REFUSED,
    SERVER_NAME,
    StorageClaim,
    storage,
    storage_claims,
)

Body = dict[str, Any]
ACCOUNT = "k8s:io.cilium.k8s.policy.serviceaccount"


def claim(tree: Tree, tenant: str, owner: str) -> StorageClaim:
    return storage_claims(cluster_of(tree)).claim(tenant, owner)


def with_names(*patterns: str) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        entries = [{"matchPattern": pattern} for pattern in patterns]
        body["spec"]["egress"][0]["toPorts"][0]["rules"]["dns"].extend(entries)

    return change


@pytest.mark.requirement("A23", "A27")
def test_buckets_in_the_cluster_are_refused_by_name_and_separated_by_address(cluster: Cluster) -> None:
    claims = storage_claims(cluster)
    assert claims.levels == {ADDRESS: 6}
    assert {found.locks for tenant in claims.tenants for found in claims.of(tenant)} == {(ADDRESS, DNS_REFUSED)}


@pytest.mark.requirement("A23", "A28")
def test_buckets_at_shared_addresses_are_never_called_separated_by_address(aws: Tree) -> None:
    claims = storage_claims(cluster_of(aws))
    assert claims.levels == {SERVER_NAME: 12}
    assert {found.locks for tenant in claims.tenants for found in claims.of(tenant)} == {(SERVER_NAME, DNS_REFUSED)}


@pytest.mark.requirement("A23")
def test_a_name_that_is_answered_leaves_the_address_as_the_only_lock(
    tree: Tree, policy: Callable[[str], Document]
) -> None:
    opened = tree.changed(policy("acme-train/dns"), with_names("tenon-glob*.storage.svc.cluster.local"))
    assert claim(opened, "acme", "globex").locks == (ADDRESS,)
    assert claim(opened, "acme", "initech").locks == (ADDRESS, DNS_REFUSED)
    assert not storage(cluster_of(opened)).holds


def test_a_gateway_that_is_reached_leaves_the_names_as_the_only_lock(
    tree: Tree, policy: Callable[[str], Document]
) -> None:
    def change(body: Body) -> None:
        body["spec"]["egress"][0]["toEndpoints"][0]["matchLabels"][ACCOUNT] = "s3-globex"

    opened = tree.changed(policy("acme-train/bucket"), change)
    assert claim(opened, "acme", "globex").level == DNS_REFUSED
    (example,) = (found for found in storage(cluster_of(opened)).broken if found.who == "acme")
    assert example.probe is not None
    assert example.probe["to"] == {"namespace": "storage", "service_account": "s3-globex"}


@pytest.mark.requirement("A28")
def test_server_names_that_fit_every_bucket_leave_the_names_as_the_only_lock(aws: Tree) -> None:
    def change(body: Body) -> None:
        body["spec"]["egress"][0]["toPorts"][0]["serverNames"] = ["*.s3.eu-central-1.amazonaws.com"]

    opened = aws.changed(aws.one("CiliumNetworkPolicy", "hooli-train", "bucket"), change)
    assert claim(opened, "hooli", "umbrella").locks == (DNS_REFUSED,)


def test_with_names_and_server_names_open_only_credentials_are_left(aws: Tree) -> None:
    def change(body: Body) -> None:
        body["spec"]["egress"][0]["toPorts"][0].pop("serverNames")

    opened = aws.changed(aws.one("CiliumNetworkPolicy", "hooli-train", "bucket"), change)
    opened = opened.changed(
        opened.one("CiliumNetworkPolicy", "hooli-train", "dns"), with_names("*.s3.eu-central-1.amazonaws.com")
    )
    assert claim(opened, "hooli", "umbrella").level == CREDENTIALS
    assert claim(opened, "umbrella", "hooli").level == SERVER_NAME
