"""A real kube-apiserver with etcd on loopback, for tests that ask it (tiers test-apiserver and test-controllers).

In a test, take the session fixture `api` (policy-tests/conftest.py) and mark the module:

    pytestmark = pytest.mark.apiserver

    def test_a_privileged_pod_is_refused(api: Api) -> None:
        assert api.apply(document(text), dry_run=True).refusal

Elsewhere: `with control_plane() as plane: plane.api.install(kinds); plane.kubeconfig`. The binaries are built once per
machine (`built("argocd")`; see binaries.py) and CRDs come out of the Go module cache (crds.py). Nothing is committed.
"""
