"""The server of these tests is a real one: it refuses what a cluster refuses, and says so."""

import pytest
from controlplane.api import Api
from controlplane.documents import Document

pytestmark = pytest.mark.apiserver


def test_the_server_is_of_the_version_that_the_manifests_are_written_for(api: Api) -> None:
    assert api.http.get("/version").json()["gitVersion"].startswith("v1.36.")


def test_an_object_in_a_namespace_that_nobody_creates_is_refused(api: Api) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lost, namespace: nowhere}\n"
    assert api.apply(Document("a test", text), dry_run=True).status == 404
