"""One fault in one rendered object, and the server refuses it: the other tests of this tier can fail."""

import re
from collections.abc import Callable

import pytest
from controlplane.api import Api
from controlplane.documents import Document
from controlplane.embedded import embedded
from controlplane.trees import RenderedTree

pytestmark = pytest.mark.apiserver

Fault = Callable[[str], str]


def _replaced(pattern: str, by: str) -> Fault:
    def change(text: str) -> str:
        changed, times = re.subn(pattern, by, text, count=1)
        assert times == 1, f"{pattern!r} is not in the object: mend the test"
        return changed

    return change


def _first(tree: RenderedTree, kind: str) -> Document:
    return next(each for each in tree.documents if each.body["kind"] == kind)


def _appended(text: str) -> Fault:
    return lambda before: before + text


FAULTS = [
    pytest.param("Service", _replaced(r"\n  selector:", "\n  selectr:"), 500, id="unknown field, built-in kind"),
    pytest.param("CiliumNetworkPolicy", _replaced(r"\nspec:", "\nspec:\n  egres: []"), 500, id="unknown field, CRD"),
    pytest.param("Rollout", _replaced(r"(\n +)image: ", r"\1imag: "), 500, id="unknown field, pod of a CRD"),
    pytest.param("ClusterQueue", _replaced(r"\n  cohortName: .*", ""), 422, id="CEL rule of a CRD"),
    pytest.param("RoleBinding", _replaced(r"kind: Role\n", "kind: Group\n"), 422, id="role of a wrong kind"),
    pytest.param("ResourceQuota", _replaced(r"\nspec:", "\nspec:\n  scopes: Terminating"), 500, id="wrong type"),
    pytest.param("ConfigMap", _appended("kind: ConfigMap\n"), 400, id="doubled key"),
    pytest.param("Role", _replaced("/v1\n", "/v1beta1\n"), 404, id="version that is not served"),
]


@pytest.mark.parametrize(("kind", "fault", "status"), FAULTS)
def test_an_object_with_one_fault_is_refused(
    api: Api, sample: RenderedTree, kind: str, fault: Fault, status: int
) -> None:
    sound = _first(sample, kind)
    assert api.apply(sound, dry_run=True).accepted
    answer = api.apply(Document(sound.origin, fault(sound.text)), dry_run=True)
    assert answer.status == status, answer


def test_a_privileged_pod_inside_a_jobset_inside_a_workflow_is_refused(api: Api, sample: RenderedTree) -> None:
    workflow = _first(sample, "WorkflowTemplate")
    change = _replaced("allowPrivilegeEscalation: false(?=.*nvidia.com/gpu)?", "privileged: true")
    before, manifest = workflow.text.split("manifest: ", 1)
    broken = Document(workflow.origin, f"{before}manifest: {change(manifest)}")
    refused = [answer for answer in api.dry_run(list(embedded(broken))) if not answer.accepted]
    assert [(answer.document.body["kind"], answer.status) for answer in refused] == [("Pod", 403)]
    assert "restricted" in refused[0].message
