"""What Argo CD may do: one project and two Applications for each tenant, the platform's own, and charts (H29)."""

from collections.abc import Iterator

from isolation.classes.inventory import Inventory, tenant_of
from isolation.manifests.tree import Document
from isolation.objects.annotations import wave_of
from isolation.objects.applications import (
    ARGOCD,
    PLATFORM,
    Source,
    platform_application,
    source_of,
    tenant_application,
    unread,
)
from isolation.objects.argocd_types import malformed
from isolation.objects.charts import PROJECT, chart_faults, is_of_charts
from isolation.objects.projects import charts_project, default_project, platform_project, tenant_project
from isolation.results import CounterExample, Result

_PROJECTS = frozenset({PLATFORM, PROJECT, "default"})


def delivery(inventory: Inventory) -> Result:
    """Foundations by the platform's project, workloads by the tenant's, each from its own folder of one repository."""
    claim = "Argo CD applies the tree, all of it, with one project and two Applications for each tenant"
    asked = len(inventory.tenants) * 3
    made: dict[str | None, list[Document]] = {}
    for document in inventory.tree.of_kind("Application", "AppProject", "ApplicationSet"):
        made.setdefault(tenant_of(document), []).append(document)
    if strange := [CounterExample(each.file, why) for of in made.values() for each in of for why in malformed(each)]:
        return Result("delivery", claim, asked, tuple(strange), row="H29")
    source = source_of(inventory.tree)
    faults = list(unread(inventory.tree))
    for tenant in inventory.tenants:
        faults += _of_tenant(inventory, source, made=made.get(tenant, []), tenant=tenant)
    faults += _of_platform(inventory, source, made.get(None, []))
    faults += chart_faults(inventory.tree, inventory.namespaces)
    return Result("delivery", claim, asked, tuple(faults), row="H29")


def _of_tenant(inventory: Inventory, source: Source, *, made: list[Document], tenant: str) -> Iterator[CounterExample]:
    by_name = {(each.kind, each.name): each for each in made}
    project, foundation, workloads = wanted = (
        ("AppProject", tenant),
        ("Application", f"{tenant}-foundation"),
        ("Application", f"{tenant}-workloads"),
    )
    if set(by_name) != set(wanted) or len(made) != len(wanted):
        yield CounterExample(tenant, f"has {', '.join(f'{kind} {name}' for kind, name in sorted(by_name))}")
        return
    faults = tenant_project(by_name[project], inventory.tree, url=source.url)
    yield from (CounterExample(by_name[project].file, fault) for fault in faults)
    for key in (foundation, workloads):
        faults = tenant_application(by_name[key], source, tenant=tenant)
        yield from (CounterExample(by_name[key].file, fault) for fault in faults)
    if not 0 <= wave_of(by_name[foundation]) < wave_of(by_name[workloads]):
        yield CounterExample(by_name[workloads].file, "is brought before the foundation that isolates it")


def _of_platform(inventory: Inventory, source: Source, made: list[Document]) -> Iterator[CounterExample]:
    for name in sorted(_PROJECTS):
        if ("AppProject", ARGOCD, name) not in inventory.by_key:
            yield CounterExample("platform", f"has no project {name} in {ARGOCD}; Argo CD's own permits everything")
    for document in made:
        if document.kind == "ApplicationSet":
            faults = iter(("makes Applications at run time; render them",))
        elif document.kind == "AppProject":
            faults = _project(inventory, source, document)
        elif is_of_charts(document):
            continue
        else:
            faults = platform_application(document, source)
        yield from (CounterExample(document.file, fault) for fault in faults)
        if document.kind == "Application" and wave_of(document) >= 0:
            yield CounterExample(document.file, "is brought with the tenants, or after them; a negative wave is first")


def _project(inventory: Inventory, source: Source, document: Document) -> Iterator[str]:
    if document.name == "default":
        yield from default_project(document)
    elif document.name == PLATFORM:
        yield from platform_project(document, inventory.tree, url=source.url)
    elif document.name == PROJECT:
        yield from charts_project(document)
    else:
        yield f"is a project beside {', '.join(sorted(_PROJECTS))} and the tenants'"
