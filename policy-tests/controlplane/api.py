"""Requests to a kube-apiserver: apply, dry-run, read, review. Every answer but a success is a refusal with its text."""

import ssl
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from controlplane.crds import crd_texts
from controlplane.documents import Document, Kind

_APPLY = "application/apply-patch+yaml"
_YAML = "application/yaml"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_REQUEST_SECONDS = 60.0  # the first request of a kind makes the server build its schema
_DISCOVERY_SECONDS = 60.0
_POLL_SECONDS = 0.05
THREADS = 8
_OK = 300  # statuses from here on are refusals
OWNER = "tenon-tests"  # field manager


class NotServedError(Exception):
    """A kind whose CRD was accepted is not served."""


@dataclass(frozen=True)
class Answer:
    """What the server said to one document."""

    document: Document
    status: int
    message: str
    body: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.status < _OK

    def __str__(self) -> str:
        return f"{self.document.origin}: {self.status} {self.message}"


@dataclass(frozen=True)
class Resource:
    """Where a kind is served."""

    prefix: str  # /api/v1, /apis/<group>/<version>
    plural: str
    namespaced: bool

    def path(self, namespace: str | None) -> str:
        return (
            f"{self.prefix}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.prefix}/{self.plural}"
        )


class Api:
    """One server, asked as `system:masters`."""

    def __init__(self, url: str, *, token: str, certificate: Path) -> None:
        trust = ssl.create_default_context(cafile=str(certificate))
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, verify=trust, timeout=_REQUEST_SECONDS, trust_env=False)
        self._served: dict[Kind, Resource] = {}

    def is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def install(self, kinds: Iterable[Kind]) -> list[Kind]:
        """Serve these kinds, with the CRDs of the pinned versions; returns those that no CRD source has.

        What is served already stays. Raises NotServedError for a version that its CRD defines and does not serve.
        """
        missing = {kind for kind in kinds if kind not in self.served()}
        texts = crd_texts(missing) if missing else {}
        for text in dict.fromkeys(texts.values()):
            self.http.post(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", content=text, headers={"Content-Type": _YAML}
            ).raise_for_status()
        deadline = time.monotonic() + _DISCOVERY_SECONDS
        while unserved := texts.keys() - self._discover().keys():
            if time.monotonic() > deadline:
                raise NotServedError(f"{sorted(unserved)}: the CRDs are there and discovery does not list them")
            time.sleep(_POLL_SECONDS)
        return sorted(missing - texts.keys())

    def served(self) -> dict[Kind, Resource]:
        """Every kind that the server knows."""
        return self._served or self._discover()

    def apply(self, wanted: Document, *, dry_run: bool, validate: bool = True) -> Answer:
        """Server-side apply, with strict field validation."""
        resource = self.served().get(wanted.kind)
        if resource is None:
            return Answer(wanted, 404, f"no server knows {' '.join(wanted.kind)}", {})
        query = {"fieldManager": OWNER, "force": "true", "fieldValidation": "Strict" if validate else "Ignore"}
        if dry_run:
            query["dryRun"] = "All"
        answer = self.http.patch(
            f"{resource.path(wanted.namespace)}/{wanted.name}",
            params=query,
            content=wanted.text.encode(),
            headers={"Content-Type": _APPLY},
        )
        return _answer(wanted, answer)

    def create(self, wanted: Document, *, dry_run: bool = False) -> Answer:
        """POST, as a controller or `kubectl create` does it."""
        resource = self.served()[wanted.kind]
        query = {"fieldManager": OWNER, "fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        answer = self.http.post(
            resource.path(wanted.namespace), params=query, content=wanted.text, headers={"Content-Type": _YAML}
        )
        return _answer(wanted, answer)

    def delete(self, unwanted: Document) -> None:
        """Remove what a test really made."""
        resource = self.served()[unwanted.kind]
        self.http.delete(f"{resource.path(unwanted.namespace)}/{unwanted.name}").raise_for_status()

    def dry_run(self, documents: Sequence[Document]) -> list[Answer]:
        """What the server would say to each, in order; nothing is kept."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda each: self.apply(each, dry_run=True), documents))

    def establish(self, documents: Sequence[Document]) -> list[Answer]:
        """Really make what a pod needs to be admitted: namespaces, priorities, accounts, `default` everywhere."""
        priorities = [each for each in documents if each.kind == ("scheduling.k8s.io/v1", "PriorityClass")]
        namespaces = [each for each in documents if each.kind == ("v1", "Namespace")]
        accounts = [each for each in documents if each.kind == ("v1", "ServiceAccount")]
        own = {each.namespace for each in accounts if each.name == "default"}
        defaults = [default_account(each.name) for each in namespaces if each.name not in own]
        return [self.apply(each, dry_run=False) for each in (*priorities, *namespaces, *accounts, *defaults)]

    def _discover(self) -> dict[Kind, Resource]:
        found: dict[Kind, Resource] = {}
        for root in ("/api", "/apis"):
            listed = self.http.get(root, headers={"Accept": _DISCOVERY}).raise_for_status().json()
            for group in listed["items"]:
                for version in group["versions"]:
                    found |= dict(_resources(group["metadata"].get("name", ""), version))
        self._served = found
        return found


def default_account(namespace: str) -> Document:
    """What the controller-manager would make."""
    text = f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: default, namespace: {namespace}}}\n"
    return Document(f"{namespace}/default", text)


def _resources(group: str, version: dict[str, Any]) -> Iterable[tuple[Kind, Resource]]:
    name = version["version"]
    api_version, prefix = (f"{group}/{name}", f"/apis/{group}/{name}") if group else (name, f"/api/{name}")
    for each in version.get("resources", ()):
        if "responseKind" in each:
            yield (
                (api_version, each["responseKind"]["kind"]),
                Resource(prefix, each["resource"], each["scope"] == "Namespaced"),
            )


def _answer(wanted: Document, answer: httpx.Response) -> Answer:
    body = answer.json()
    message = "" if answer.is_success else str(body.get("message", body))
    return Answer(wanted, answer.status_code, message, body, tuple(answer.headers.get_list("Warning")))
