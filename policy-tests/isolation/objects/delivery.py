"""What Argo CD may do for a tenant: one project, two Applications, written out to the last field (H29)."""

import re
from collections.abc import Iterator

from isolation.classes.inventory import PLANES, Inventory, spec_of, tenant_of
from isolation.manifests.pods import Body
from isolation.manifests.tree import Document
from isolation.objects.charts import chart_faults, is_chart
from isolation.results import CounterExample, Result

PLATFORM = "platform"
# Known options of a sync and of an object, with the values they may have. A misspelt one is ignored by Argo CD.
_SYNC_OPTIONS = {
    "ApplyOutOfSyncOnly": {"true"},
    "CreateNamespace": {"false"},  # true would let an Application write a namespace's labels
    "FailOnSharedResource": {"true"},
    "Prune": {"confirm"},
    "PruneLast": {"true"},
    "PrunePropagationPolicy": {"foreground", "background"},
    "RespectIgnoreDifferences": {"true"},
    "ServerSideApply": {"true"},
}
_NEEDED_OPTIONS = frozenset({"ServerSideApply=true", "FailOnSharedResource=true", "CreateNamespace=false"})
_OBJECT_OPTIONS = {
    "Delete": {"confirm", "false"},
    "Prune": {"confirm", "false"},
    "ServerSideApply": {"true"},
    "SkipDryRunOnMissingResource": {"true"},
}
_ANNOTATION = "argocd.argoproj.io/sync-options"
_WAVE = "argocd.argoproj.io/sync-wave"
# Kinds that isolate a tenant, and that its own project must not write (group, kind).
_DENIED = (
    ("", "LimitRange"),
    ("", "Namespace"),
    ("", "ResourceQuota"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("argoproj.io", "AppProject"),
    ("argoproj.io", "Application"),
    ("argoproj.io", "ApplicationSet"),
    ("cilium.io", "CiliumNetworkPolicy"),
    ("external-secrets.io", "ExternalSecret"),
    ("kueue.x-k8s.io", "LocalQueue"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
)
_TOOLS = frozenset({"chart", "helm", "kustomize", "plugin", "ref", "jsonnet"})
_POLICY = re.compile(
    r"p, proj:(?P<of>[a-z0-9-]+):(?P<role>[a-z-]+), (?P<what>[a-z]+), (?P<action>[A-Za-z0-9./*-]+), "
    r"(?P<on>[a-z0-9-]+)/\*, allow"
)
# Looking on, and what admission lets people write into a Rollout's status; `promote-full` would skip the analysis.
_ACTIONS = frozenset({"get", "action/argoproj.io/Rollout/abort", "action/argoproj.io/Rollout/resume"})
_FORGED = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/hook", "link.argocd.argoproj.io/")


def delivery(inventory: Inventory) -> Result:
    """Foundations by the platform's project, workloads by the tenant's, each from its own folder of one repository."""
    faults: list[CounterExample] = []
    made: dict[str | None, list[Document]] = {}
    for document in inventory.tree.of_kind("Application", "AppProject"):
        made.setdefault(tenant_of(document), []).append(document)
    for tenant in inventory.tenants:
        faults += _of_tenant(inventory, tenant, made.get(tenant, []))
    urls = {url for document in inventory.tree.documents for url in _repositories(document)}
    repositories = {url for url in urls if not is_chart(url)}
    faults += chart_faults(inventory.tree, inventory.namespaces)
    if len(repositories) > 1:
        faults.append(
            CounterExample("delivery", f"reads {', '.join(sorted(repositories))}; one repository is the rule")
        )
    for document in inventory.tree.of_kind("Application", "AppProject", "ApplicationSet"):
        if tenant_of(document) is None:
            faults += [CounterExample(document.file, fault) for fault in _of_platform(document)]
    claim = "Argo CD has one project and two Applications for each tenant, exact"
    return Result("delivery", claim, len(inventory.tenants) * 3, tuple(faults), row="H29")


def sync_options(inventory: Inventory) -> Result:
    """Argo CD ignores an option that it does not know, and believes annotations that forge its own."""
    faults, asked = [], 0
    for document in inventory.tree.documents:
        annotations = (document.body.get("metadata") or {}).get("annotations") or {}
        listed = [text.strip() for text in str(annotations.get(_ANNOTATION, "")).split(",") if text.strip()]
        listed_of_app = (spec_of(document).get("syncPolicy") or {}).get("syncOptions") or []
        asked += 1 + len(listed)
        wrong = [text for text in listed if not _is_known(text, _OBJECT_OPTIONS)]
        if document.kind == "Application":
            wrong += [text for text in listed_of_app if not _is_known(str(text), _SYNC_OPTIONS)]
        faults += [CounterExample(document.file, f"sync option {text} is none, or not ours") for text in wrong]
        if not re.fullmatch(r"-?\d+", str(annotations.get(_WAVE, "0"))):
            faults.append(CounterExample(document.file, f"sync wave {annotations[_WAVE]} is no number"))
        forged = [key for key in annotations if key.startswith(_FORGED)]
        faults += [CounterExample(document.file, f"carries {key}, which is Argo CD's own") for key in forged]
    return Result("sync-options", "Argo CD knows every option of the tree", asked, tuple(faults), row="H29")


def _of_tenant(inventory: Inventory, tenant: str, made: list[Document]) -> Iterator[CounterExample]:
    by_name = {(each.kind, each.name): each for each in made}
    wanted = {("AppProject", tenant), ("Application", f"{tenant}-foundation"), ("Application", f"{tenant}-workloads")}
    if set(by_name) != wanted or len(made) != len(wanted):
        yield CounterExample(tenant, f"has {', '.join(f'{kind} {name}' for kind, name in sorted(by_name))}")
        return
    for (kind, name), document in by_name.items():
        if document.namespace != "argocd":
            yield CounterExample(document.file, "stands outside of argocd")
        if kind == "AppProject":
            faults = _project_faults(document, tenant)
        else:
            part = name.removeprefix(f"{tenant}-")
            faults = _application_faults(inventory, document, tenant=tenant, part=part)
        yield from (CounterExample(document.file, fault) for fault in faults)


def _project_faults(project: Document, tenant: str) -> Iterator[str]:
    spec = spec_of(project)
    namespaces = [each.get("namespace") for each in spec.get("destinations") or ()]
    if sorted(map(str, namespaces)) != sorted(f"{tenant}-{plane}" for plane in PLANES):
        yield f"its destinations are {namespaces}"
    servers = {each.get("server") for each in spec.get("destinations") or ()}
    if len(servers) != 1 or any("*" in str(server) for server in servers):
        yield f"its servers are {servers}"
    if spec.get("clusterResourceWhitelist") != [] or spec.get("sourceNamespaces") != []:
        yield "may write cluster-wide objects, or be used from other namespaces; both lists are empty"
    yield from (
        f"may write {kind}, which isolates the tenant" for group, kind in _DENIED if _may_write(spec, group, kind)
    )
    for account in spec.get("destinationServiceAccounts") or ():
        if account.get("defaultServiceAccount") != f"{tenant}-serve:deployer" or "*" in str(account.get("namespace")):
            yield f"syncs as {account.get('defaultServiceAccount')} into {account.get('namespace')}"
    if not spec.get("destinationServiceAccounts"):
        yield "syncs as Argo CD itself; name the deployer"
    for role in spec.get("roles") or ():
        yield from (f"role {role.get('name')} {fault}" for fault in _role_faults(role, tenant))


def _may_write(project: Body, group: str, kind: str) -> bool:
    """What is on the list of allowed kinds, where there is one, and not on the list of denied ones."""
    matching = {(group, kind), (group, "*"), ("*", "*")}
    allowed, denied = project.get("namespaceResourceWhitelist"), project.get("namespaceResourceBlacklist") or ()
    is_allowed = allowed is None or any((each.get("group"), each.get("kind")) in matching for each in allowed)
    return is_allowed and not any((each.get("group"), each.get("kind")) in matching for each in denied)


def _role_faults(role: Body, tenant: str) -> Iterator[str]:
    if set(role.get("groups") or ()) - {f"tenon:{tenant}"} or role.get("jwtTokens"):
        yield "is held by others than the owners, or by a token"
    for policy in role.get("policies") or ():
        found = _POLICY.fullmatch(str(policy))
        if found is None or {found["of"], found["on"]} != {tenant} or found["role"] != role.get("name"):
            yield f"has policy `{policy}`, which is not of this role and project alone"
        elif found["what"] != "applications" or found["action"] not in _ACTIONS:
            yield f"may {found['action']} {found['what']}; looking on, resume and abort are all"


def _application_faults(inventory: Inventory, application: Document, *, tenant: str, part: str) -> Iterator[str]:
    spec = spec_of(application)
    project = PLATFORM if part == "foundation" else tenant
    if spec.get("project") != project or ("AppProject", "argocd", project) not in inventory.by_key:
        yield f"is of project {spec.get('project')}; {project} is the rule"
    source = spec.get("source") or {}
    if not str(source.get("path")).endswith(f"/tenants/{tenant}/{part}") or ".." in str(source.get("path")):
        yield f"reads {source.get('path')}"
    if "sources" in spec or _TOOLS & set(source) or (source.get("directory") or {}).get("jsonnet"):
        yield "runs a tool over its source; plain files are the rule"
    namespace = (spec.get("destination") or {}).get("namespace")
    if part == "workloads" and namespace not in {f"{tenant}-{plane}" for plane in PLANES}:
        yield f"goes to namespace {namespace}"
    policy = spec.get("syncPolicy") or {}
    automated = policy.get("automated") or {}
    if not (automated.get("prune") and automated.get("selfHeal")) or automated.get("allowEmpty") is not False:
        yield "does not follow Git: prune and selfHeal, and never to empty"
    if "managedNamespaceMetadata" in policy:
        yield "writes a namespace's labels"
    if missing := _NEEDED_OPTIONS - set(policy.get("syncOptions") or ()):
        yield f"lacks sync options {', '.join(sorted(missing))}"


def _of_platform(document: Document) -> Iterator[str]:
    spec = spec_of(document)
    if document.kind == "ApplicationSet":
        yield "makes Applications at run time; render them"
    if document.kind == "AppProject" and document.name == "default" and spec.get("destinations") != []:
        yield "project `default` permits something; lock it"
    if document.kind == "Application" and spec.get("project") == "default":
        yield "is of project `default`"
    if "managedNamespaceMetadata" in (spec.get("syncPolicy") or {}):
        yield "writes a namespace's labels"


def _repositories(document: Document) -> list[str]:
    if document.kind == "AppProject":
        return [str(url) for url in spec_of(document).get("sourceRepos") or ()]
    if document.kind == "Application":
        return [str((spec_of(document).get("source") or {}).get("repoURL"))]
    return []


def _is_known(text: str, known: dict[str, set[str]]) -> bool:
    name, _, value = text.partition("=")
    return value in known.get(name, set())
