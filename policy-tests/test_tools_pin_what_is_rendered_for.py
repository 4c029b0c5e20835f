"""The components that tests run, and whose CRDs they read, are of the releases that the manifests are written for."""

from pathlib import Path

import pytest
import yaml
from controlplane import strimzi
from controlplane.binaries import OWN_FOLDER, TOOLS, cached, required_version
from controlplane.crds import SOURCES, Source
from isolation.classes.profile import CILIUM_VERSION

from generators import versions

RELEASES = {
    "github.com/argoproj/argo-cd/v3": versions.ARGO_CD_RELEASE,
    "github.com/argoproj/argo-rollouts": versions.ARGO_ROLLOUTS_RELEASE,
    "github.com/argoproj/argo-workflows/v4": versions.ARGO_WORKFLOWS_RELEASE,
    "github.com/cilium/cilium": versions.CILIUM_RELEASE,
    "github.com/external-secrets/external-secrets": versions.EXTERNAL_SECRETS_RELEASE,
    "github.com/kedacore/keda/v2": versions.KEDA_RELEASE,
    "github.com/kubeflow/trainer/v2": versions.TRAINER_RELEASE,
    "github.com/prometheus-operator/prometheus-operator": versions.PROMETHEUS_OPERATOR_RELEASE,
    "github.com/ray-project/kuberay/ray-operator": versions.KUBERAY_RELEASE,
    "istio.io/api": versions.ISTIO_API_RELEASE,
    "sigs.k8s.io/gateway-api": versions.GATEWAY_API_RELEASE,
    "sigs.k8s.io/jobset": versions.JOBSET_RELEASE,
    "sigs.k8s.io/kueue": versions.KUEUE_RELEASE,
    "sigs.k8s.io/node-feature-discovery": versions.NODE_FEATURE_DISCOVERY_RELEASE,
}


def test_every_source_of_crds_is_of_a_pinned_release() -> None:
    assert {source.module for source in SOURCES} == RELEASES.keys()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.module)
def test_the_crds_are_those_of_the_pinned_release(source: Source) -> None:
    assert required_version(source.tools, source.module) == f"v{RELEASES[source.module]}"


def test_the_api_server_is_of_the_pinned_release() -> None:
    assert required_version("kube", "k8s.io/kubernetes") == f"v{versions.KUBERNETES_RELEASE}"
    assert versions.KUBERNETES_RELEASE.startswith(f"{versions.KUBERNETES}.")
    assert f"v{versions.KUBERNETES}" == versions.POD_SECURITY


def test_the_engine_that_the_judge_is_compared_with_is_of_the_release_that_is_rendered() -> None:
    engine = required_version("oracle", "github.com/cilium/cilium", below=OWN_FOLDER)
    charts = yaml.safe_load((Path(__file__).parents[1] / "charts.lock").read_text(encoding="utf-8"))
    assert engine == f"v{versions.CILIUM_RELEASE}"
    assert charts["cilium"]["from"] == f"cilium/cilium:{versions.CILIUM_RELEASE}"
    assert versions.CILIUM_RELEASE.startswith(f"{CILIUM_VERSION}.")


def test_a_change_of_the_oracles_own_sources_is_built_anew() -> None:
    names = {source.name for source in TOOLS["oracle"].sources}
    assert {"go.mod", "go.sum", "main.go", "verdicts.go"} <= names


def test_a_binary_of_another_version_has_another_name() -> None:
    assert len({cached(name) for name in TOOLS}) == len(TOOLS)


def test_strimzis_jars_are_those_of_the_pinned_release() -> None:
    pinned = (strimzi.FOLDER / "pom.xml").read_text(encoding="utf-8")
    assert pinned.count(f"<version>{versions.STRIMZI_RELEASE}</version>") == 2
