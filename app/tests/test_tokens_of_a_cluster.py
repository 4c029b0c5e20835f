"""Callers inside the cluster: tokens of a real kube-apiserver, reviewed by the rights rendered for ingest."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.api.server import Border
from app.apiserver import ApiServer
from app.contract.internal import API_AUDIENCE, STATUS_AUDIENCE
from app.directory import read
from app.identity.serviceaccount import ServiceAccountTokens
from app.tests.cast import write_directory
from app.tests.serving import Api, serve

if TYPE_CHECKING:
    from app.tests.cluster import RealCluster

pytestmark = pytest.mark.apiserver


@pytest.fixture
def api(real_cluster: "RealCluster", tmp_path: Path) -> Iterator[Api]:
    """The API, which asks the server as the account `ingest`."""
    directory = read(write_directory(tmp_path / "known"))
    with closing(ApiServer(real_cluster.access("ingest"))) as server:
        made = serve(tmp_path, border=Border(tokens=(ServiceAccountTokens(directory, server),)))
        yield made
        made.rows.jobs.engine.dispose()


def ask(api: Api, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return api.send("GET", "/v1/models", tenant=None, headers=headers).status_code


def token(cluster: "RealCluster", namespace: str, account: str, *, audience: str | None = API_AUDIENCE) -> str:
    """As the kubelet gets it for a pod's projected volume."""
    spec = {"expirationSeconds": 600, **({"audiences": [audience]} if audience else {})}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = cluster.api.http.post(path, json={"spec": spec})
    return str(answer.raise_for_status().json()["status"]["token"])


def test_a_pod_of_a_tenant_is_let_in_by_its_account(real_cluster: "RealCluster", api: Api) -> None:
    assert ask(api, token(real_cluster, "acme-train", "step")) == 200


def test_a_token_for_another_audience_lets_nobody_in(real_cluster: "RealCluster", api: Api) -> None:
    assert ask(api, token(real_cluster, "acme-train", "step", audience=STATUS_AUDIENCE)) == 401
    assert ask(api, token(real_cluster, "acme-train", "step", audience=None)) == 401


def test_a_platform_account_is_no_tenant(real_cluster: "RealCluster", api: Api) -> None:
    assert ask(api, token(real_cluster, "tenon-system", "watcher")) == 401


def test_a_forged_token_lets_nobody_in(real_cluster: "RealCluster", api: Api) -> None:
    head, claims, signature = token(real_cluster, "acme-train", "step").split(".")
    others = token(real_cluster, "tenon-system", "watcher").split(".")
    assert ask(api, f"{head}.{claims}.{signature[:-8]}AAAAAAAA") == 401
    assert ask(api, f"{head}.{claims}.{others[2]}") == 401
