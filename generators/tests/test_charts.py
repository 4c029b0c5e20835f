"""charts.lock: real releases, trusted registries, and no unknown digest in production."""

from collections.abc import Callable
from pathlib import Path

import pytest

from generators import versions
from generators.images import UNKNOWN_DIGEST
from generators.inputs.folder import read_inputs
from generators.inputs.reading import InputErrors

Edit = Callable[[str, str, str], None]


def refusals(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors if error.file == "charts.lock"]


@pytest.mark.requirement("A32")
def test_production_refuses_every_chart_whose_digest_nobody_knows(root: Path, edit: Edit) -> None:
    edit("platform.yaml", "production: false", "production: true")
    lock = (root / "charts.lock").read_text(encoding="utf-8")
    found = refusals(root)
    assert len(found) == lock.count(UNKNOWN_DIGEST) > 0
    assert all("is the all-zero digest and production is true" in each for each in found)


def test_a_chart_from_an_untrusted_registry_is_refused(root: Path, edit: Edit) -> None:
    edit("charts.lock", "registry.tenon.example/charts/kueue", "elsewhere.example/charts/kueue")
    (found,) = refusals(root)
    assert "kueue.repository: 'elsewhere.example/charts/kueue' is in no registry" in found


def test_a_chart_that_nothing_installs_is_refused(root: Path) -> None:
    lock = root / "charts.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace("\njobset:", "\njobsets:"), encoding="utf-8")
    assert any("jobsets" in each for each in refusals(root))


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("argo-rollouts-crds", versions.ARGO_ROLLOUTS_RELEASE),
        ("argo-workflows-crds", versions.ARGO_WORKFLOWS_RELEASE),
        ("cilium", versions.CILIUM_RELEASE),
        ("gateway-api", versions.GATEWAY_API_RELEASE),
        ("istio-base", versions.ISTIO_API_RELEASE),
        ("istio-cni", versions.ISTIO_API_RELEASE),
        ("istio-gateway", versions.ISTIO_API_RELEASE),
        ("istiod", versions.ISTIO_API_RELEASE),
        ("jobset", versions.JOBSET_RELEASE),
        ("keda", versions.KEDA_RELEASE),
        ("kuberay", versions.KUBERAY_RELEASE),
        ("kueue", versions.KUEUE_RELEASE),
        ("strimzi", versions.STRIMZI_RELEASE),
        ("trainer", versions.TRAINER_RELEASE),
    ],
)
def test_a_chart_brings_the_release_that_manifests_are_validated_against(root: Path, name: str, release: str) -> None:
    source = read_inputs(root).platform.chart(name).source
    assert source.rpartition(":")[2].removeprefix("v") == release
