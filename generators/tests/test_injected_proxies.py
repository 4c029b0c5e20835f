"""What istiod puts into a tenant's pods is an image that admission takes: locked, by digest, of a trusted registry."""

import re
from pathlib import Path

import yaml

from generators.cluster.addon_delivery import PlatformAddons
from generators.cluster.mesh import istiod_values
from generators.tests.samples import made, sample_platform

ISTIO = sample_platform(trafficRouter="istio")
REPOSITORY = Path(__file__).parents[2]


def test_istiod_injects_the_locked_proxy_by_digest() -> None:
    values = istiod_values(ISTIO)["global"]
    assert values["proxy"]["image"] == values["proxy_init"]["image"] == ISTIO.image("istioproxy")
    assert re.fullmatch(r"registry\.example/[^@:]+@sha256:[0-9a-f]{64}", values["proxy"]["image"])


def test_the_chart_is_given_these_values() -> None:
    application = made(PlatformAddons, platform=ISTIO)["argocd", "Application", "addon-istiod"]
    assert application["spec"]["source"]["helm"]["valuesObject"] == istiod_values(ISTIO)


def test_proxies_are_of_the_release_of_their_control_plane() -> None:
    images, charts = (
        yaml.safe_load((REPOSITORY / lock).read_text(encoding="utf-8")) for lock in ("images.lock", "charts.lock")
    )
    release = charts["istiod"]["from"].rpartition(":")[2]
    assert images["istioproxy"]["from"] == f"istio/proxyv2:{release}"
