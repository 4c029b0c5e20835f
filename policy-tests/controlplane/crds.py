"""CRDs of exactly the pinned versions as text: out of the Go module cache, Strimzi's from its own. None is committed.

The files are not parsed: one pattern finds a CRD's group and kind, and the text goes to the server as it is.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from controlplane.binaries import TOOLS_FOLDER, MissingToolError, go_command, go_environment
from controlplane.documents import Kind
from controlplane.strimzi import GROUP, strimzi_crds

_DOWNLOAD_SECONDS = 600


@dataclass(frozen=True)
class Source:
    """Where one project keeps its CRDs: the module, the folder below tools/ that pins it, the files in it."""

    tools: str
    module: str
    files: str  # a glob


SOURCES = (
    Source("argo-workflows", "github.com/argoproj/argo-workflows/v4", "manifests/base/crds/full/*.yaml"),
    Source("argocd", "github.com/argoproj/argo-cd/v3", "manifests/crds/*-crd.yaml"),
    Source("rollouts", "github.com/argoproj/argo-rollouts", "manifests/crds/*-crd.yaml"),
    Source("jobset", "sigs.k8s.io/jobset", "config/components/crd/bases/*.yaml"),
    Source("kueue", "sigs.k8s.io/kueue", "config/components/crd/bases/*.yaml"),
    Source("crds", "github.com/cilium/cilium", "pkg/k8s/apis/cilium.io/client/crds/v2*/*.yaml"),
    Source("crds", "github.com/external-secrets/external-secrets", "config/crds/bases/*.yaml"),
    Source("crds", "github.com/kedacore/keda/v2", "config/crd/bases/*.yaml"),
    Source("crds", "github.com/kubeflow/trainer/v2", "manifests/base/crds/*.yaml"),
    Source("crds", "github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd/*.yaml"),
    Source("crds", "github.com/ray-project/kuberay/ray-operator", "config/crd/bases/*.yaml"),
    Source("crds", "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"),
    Source("crds", "sigs.k8s.io/gateway-api", "config/crd/standard/*.yaml"),
    Source("crds", "sigs.k8s.io/node-feature-discovery", "deployment/base/nfd-crds/*.yaml"),
)

_GROUP = re.compile(r"^  group: (\S+)$", re.MULTILINE)
_KIND = re.compile(r"^    kind: (\S+)$", re.MULTILINE)  # of spec.names
_VERSION = re.compile(r"^(?:  - |    )name: (v\w+)$", re.MULTILINE)  # of spec.versions
_SEPARATOR = re.compile(r"^---.*$", re.MULTILINE)


def crd_texts(kinds: Iterable[Kind]) -> dict[Kind, str]:
    """The CRD of each kind that a source has. Raises MissingToolError where the modules cannot be had."""
    wanted = set(kinds)
    known = dict(known_crds())
    if any(api_version.startswith(f"{GROUP}/") for api_version, _ in wanted):
        known |= {kind: text for text in strimzi_crds() for kind in _kinds(text)}
    return {kind: known[kind] for kind in wanted if kind in known}


@cache
def known_crds() -> dict[Kind, str]:
    """Every kind, with each of its versions, that the sources define -> the text of its CRD."""
    return {kind: text for each in SOURCES for kind, text in crds_in(each, module_folder(each.tools, each.module))}


def crds_in(source: Source, folder: Path) -> Iterator[tuple[Kind, str]]:
    """The kinds whose CRDs stand in a source's unpacked folder, each with the text."""
    for path in sorted(folder.glob(source.files)):
        for text in _SEPARATOR.split(path.read_text(encoding="utf-8")):
            yield from ((kind, text) for kind in _kinds(text))


@cache
def module_folder(tools: str, module: str) -> Path:
    """A module's unpacked folder in the module cache, fetched and verified against go.sum when it is not there yet."""
    go = go_command(f"the CRDs of {module} are wanted")
    made = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=TOOLS_FOLDER / tools,
        env=go_environment(),
        capture_output=True,
        timeout=_DOWNLOAD_SECONDS,
        check=False,
    )
    answer = json.loads(made.stdout or "{}")
    if "Dir" not in answer:
        reason = answer.get("Error") or made.stderr.decode(errors="replace").strip()
        raise MissingToolError(f"{module}: cannot be fetched: {reason}")
    return Path(answer["Dir"])


def _kinds(text: str) -> Iterator[Kind]:
    if "\nkind: CustomResourceDefinition\n" not in text:
        return
    group, kind = _GROUP.search(text), _KIND.search(text)
    if group and kind:
        for version in _VERSION.findall(text):
            yield f"{group[1]}/{version}", kind[1]
