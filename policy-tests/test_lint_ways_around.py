"""Manifests beside the policies: pods on the node's network, Services for the outside, second interfaces."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isolation.linting.inputs import Inputs
from isolation.linting.linter import lint
from isolation.linting.objects import Policy
from isolation.manifests.tree import Document


def found(text: str) -> list[tuple[str, str]]:
    inputs = Inputs()
    inputs.add("f.yaml", text)
    return [(one.rule, one.path) for one in lint(inputs).findings]


HOST = "{hostNetwork: true, containers: [{name: c, ports: [{containerPort: 80, hostPort: 80}]}]}"


@pytest.mark.parametrize(
    ("version", "kind", "spec", "path"),
    [
        ("v1", "Pod", HOST, "spec"),
        ("batch/v1", "CronJob", f"{{jobTemplate: {{spec: {{template: {{spec: {HOST}}}}}}}}}", "spec.jobTemplate.spec"),
        (
            "ray.io/v1",
            "RayCluster",
            f"{{workerGroupSpecs: [{{template: {{spec: {HOST}}}}}]}}",
            "spec.workerGroupSpecs[0]",
        ),
        ("argoproj.io/v1alpha1", "Workflow", "{hostNetwork: true, templates: []}", "spec.hostNetwork"),
        ("v1", "List", "", ""),
    ],
)
def test_a_pod_on_the_nodes_network_is_found_in_every_kind(version: str, kind: str, spec: str, path: str) -> None:
    """Its ports are the node's already, so a hostPort adds nothing."""
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {HOST}"
    listed = f"apiVersion: v1\nkind: List\nitems:\n- {pod.replace(chr(10), chr(10) + '  ')}\n"
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n" if spec else listed
    ((rule, place),) = found(text)
    assert (rule, place.startswith(path)) == ("TN901", True)


@pytest.mark.parametrize(
    "text",
    [
        "hostNetwork: true\n",  # values of a chart
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\nspec: {type: NodePort}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {hostNetwork: true}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: false, containers: [{}]}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}, externalIPs: []}\n",
    ],
)
def test_what_only_looks_like_it_is_passed_over(text: str) -> None:
    assert found(text) == []


def test_what_could_not_be_read_is_noted_only_where_it_matters() -> None:
    pod = "apiVersion: v1\nkind: Pod\nspec: {volumes: [{mode: 0644}]FIELD}\n"
    assert found(pod.replace("FIELD", "")) == []
    assert [rule for rule, _ in found(pod.replace("FIELD", ", hostNetwork: true"))] == ["TN008"]


JUNK = st.recursive(
    st.sampled_from([None, "", "x", 0, 8080, True, "NodePort", "ExternalName"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["containers", "ports", "hostPort", "hostNetwork", "type", "externalIPs", "selector", "spec"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@example(kind="Service", spec={"ports": 8080})
@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["Service", "Pod", "EndpointSlice"]), spec=JUNK)
def test_junk_in_a_manifest_is_no_crash(kind: str, spec: object) -> None:
    inputs = Inputs()
    inputs.objects.append(Policy(Document("f", {"apiVersion": "v1", "kind": kind, "spec": spec}, {})))
    assert lint(inputs).passed_over == 1
