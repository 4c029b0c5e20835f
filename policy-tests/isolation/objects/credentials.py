"""Secrets and buckets: what stands in Git is never a secret, and each bucket has one owner (H18, H20)."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator

from isolation.classes.buckets import bucket
from isolation.classes.inventory import Inventory, spec_of, tenant_of
from isolation.classes.roles import STORAGE
from isolation.manifests.pods import Container
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - a type of Secret, which Kubernetes itself fills
_KNOWN_SHAPES = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{20,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\bxox[abp]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}|\bglpat-[A-Za-z0-9_-]{20,}"
)
_SECRET_NAME = re.compile(r".*(SECRET|PASSWORD|TOKEN|API_KEY|ACCESS_KEY|CREDENTIAL)(_ID)?")
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_RANDOM_BITS = 3.8  # per character; paths and names are below, keys of 24 characters are above
_ROLE = "eks.amazonaws.com/role-arn"
_ARN = re.compile(r"arn:aws(-[a-z-]+)?:iam::(?P<account>\d{12}):role/(?P<role>[\w+=,.@-]{1,64})")
_OWN_VOLUMES = frozenset({"name", "emptyDir"})
_DATA_ACCOUNT = re.compile(r"step|trainer(-\d+)?|model")


def secrets(inventory: Inventory) -> Result:
    """Secrets come from outside, by a path of the tenant's own; no literal in the tree is one."""
    faults, asked = [], 0
    for document in inventory.tree.of_kind("Secret"):
        asked += 1
        faults += [CounterExample(document.file, fault) for fault in _secret_faults(document)]
    for document in inventory.tree.of_kind("ExternalSecret", "ClusterExternalSecret", "PushSecret", "SecretStore"):
        asked += 1
        faults += [CounterExample(document.file, fault) for fault in _foreign_paths(document)]
    for container in inventory.containers:
        asked += 1
        faults += [CounterExample(container.document.file, f"{container}: {fault}") for fault in _literals(container)]
    stores = {_store(document) for document in inventory.tree.of_kind("ExternalSecret")}
    if len(stores) > 1:
        faults.append(CounterExample("ExternalSecrets", f"use stores {', '.join(sorted(stores))}; one is the rule"))
    claim = "secrets are references below the tenant's own path; none is in Git"
    return Result("secrets", claim, asked, tuple(faults), row="H18")


def buckets(inventory: Inventory) -> Result:
    """One bucket for each tenant: in the cluster one gateway, on AWS one role for each account; pods name no other."""
    is_cloud = inventory.profile.storage_mode == "s3"
    faults = list(_role_faults(inventory) if is_cloud else _gateway_faults(inventory))
    for container in inventory.containers:
        if tenant := inventory.namespaces.get(str(container.document.namespace)):
            allowed = {bucket(inventory.profile, owner) for owner in (tenant, "models")}
            used = [name for name in _bucket_urls(container) if name not in allowed]
            faults += [CounterExample(container.document.file, f"{container} uses bucket {name}") for name in used]
    claim = "each bucket is one tenant's, by gateway or by role, and each role's"
    asked = len(inventory.tenants) + len(inventory.containers)
    return Result("buckets", claim, asked, tuple(faults), row="H20")


def _secret_faults(document: Document) -> Iterator[str]:
    if document.body.get("data") or document.body.get("stringData"):
        yield f"Secret {document.name} holds data; keep it in the store"
    annotations = (document.body.get("metadata") or {}).get("annotations") or {}
    if document.body.get("type") != _TOKEN or annotations.get("kubernetes.io/service-account.name") != "executor":
        yield f"Secret {document.name} is not the executor's token"
    if document.namespace is None or not document.namespace.endswith("-train"):
        yield f"Secret {document.name} stands outside of a training namespace"


def _foreign_paths(document: Document) -> Iterator[str]:
    if document.kind != "ExternalSecret":
        yield f"{document.kind} is not an ExternalSecret; the platform alone has stores"
        return
    tenant = tenant_of(document)
    own = f"tenants/{tenant}/" if tenant else "platform/"
    spec = spec_of(document)
    for entry in spec.get("data") or ():
        path = str((entry.get("remoteRef") or {}).get("key"))
        if not path.startswith(own) or ".." in path:
            yield f"reads {path}, which is not below {own}"
    if spec.get("dataFrom") or not spec.get("data"):
        yield "reads whole folders or nothing; name each key"
    if set((spec.get("target") or {}).get("template") or ()) - {"metadata", "type"}:
        yield "makes its Secret from a template, which may read other objects"


def _store(document: Document) -> str:
    reference = spec_of(document).get("secretStoreRef") or {}
    return f"{reference.get('kind')} {reference.get('name')}"


def _literals(container: Container) -> Iterator[str]:
    for name, value in container.environment:
        if value and _SECRET_NAME.fullmatch(name):
            yield f"{name} is a literal; refer to a Secret"
        elif value and _is_secret(value):
            yield f"{name} holds what looks like a key"
    if any(_is_secret(word) for word in container.words):
        yield "a word of the command looks like a key"


def _is_secret(text: str) -> bool:
    if _KNOWN_SHAPES.search(text):
        return True
    return any(_looks_random(word) for word in _RANDOM.findall(text))


def _looks_random(word: str) -> bool:
    """Letters of both cases and digits, near the entropy of random text of this length."""
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(test(letter) for letter in word) for test in kinds):
        return False
    counts = Counter(word).values()
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts) > _RANDOM_BITS


def _gateway_faults(inventory: Inventory) -> Iterator[CounterExample]:
    for tenant in inventory.tenants:
        service = inventory.by_key.get(("Service", STORAGE, bucket(inventory.profile, tenant)))
        gateway = inventory.by_key.get(("Deployment", STORAGE, f"s3-{tenant}"))
        if service is None or gateway is None:
            yield CounterExample(tenant, "has no gateway of its own to its bucket")
            continue
        template = spec_of(gateway)["template"]
        if spec_of(service).get("selector") != spec_of(gateway)["selector"]["matchLabels"]:
            yield CounterExample(service.file, "selects other pods than the tenant's gateway")
        if template["spec"].get("serviceAccountName") != f"s3-{tenant}":
            yield CounterExample(gateway.file, "runs as another account than its own")
        names = [(v.get("secret") or {}).get("secretName") for v in template["spec"].get("volumes") or ()]
        if [name for name in names if name] != [f"s3-{tenant}"]:
            yield CounterExample(gateway.file, "holds other identities than its own")
    yield from _models_faults(inventory)


def _models_faults(inventory: Inventory) -> Iterator[CounterExample]:
    """Those who reach the gateway of the bucket that all share read it without a key, and write it with none."""
    gateway = inventory.by_key.get(("Deployment", STORAGE, "s3-models"))
    known = inventory.by_key.get(("ConfigMap", STORAGE, "s3-models"))
    if gateway is None or known is None:
        yield CounterExample("models", "has no gateway with identities that are open to all")
        return
    volumes = spec_of(gateway)["template"]["spec"].get("volumes") or ()
    mounted = [(kind, volume[kind].get("name")) for volume in volumes for kind in volume if kind not in _OWN_VOLUMES]
    if mounted != [("configMap", "s3-models")]:
        yield CounterExample(gateway.file, "holds other identities than those that are open to all")
    shared = bucket(inventory.profile, "models")
    reader = {"name": "anonymous", "actions": [f"Read:{shared}", f"List:{shared}"]}
    if json.loads((known.body.get("data") or {}).get("s3.json", "{}")) != {"identities": [reader]}:
        yield CounterExample(known.file, "lets others than readers of base models in")


def _role_faults(inventory: Inventory) -> Iterator[CounterExample]:
    seen: dict[str, Document] = {}
    owners = set[str]()
    for account in inventory.tree.of_kind("ServiceAccount"):
        tenant = inventory.namespaces.get(str(account.namespace))
        annotations = (account.body.get("metadata") or {}).get("annotations") or {}
        arn = annotations.get(_ROLE)
        if tenant is None or not _DATA_ACCOUNT.fullmatch(account.name):
            if arn is not None and tenant is not None:
                yield CounterExample(account.file, f"account {account.name} has a role and needs none")
            continue
        found = _ARN.fullmatch(str(arn))
        if found is None or found["role"] != f"{bucket(inventory.profile, tenant)}-{account.name}":
            yield CounterExample(account.file, f"role {arn} is not that of this account and bucket")
            continue
        owners.add(found["account"])
        if str(arn) in seen:
            yield CounterExample(account.file, f"role {arn} is {seen[str(arn)].file}'s too")
        seen[str(arn)] = account
    if len(owners) > 1:
        yield CounterExample("roles", f"stand in accounts {', '.join(sorted(owners))}; one owns every bucket")


def _bucket_urls(container: Container) -> Iterator[str]:
    values = [value for name, value in container.environment if value and name.endswith("_URL")]
    for text in (*values, *container.words):
        if text.startswith("s3://"):
            yield text.removeprefix("s3://").split("/")[0]
