"""Whether a recipe and a base fit the tenant that names them: GPUs, precision, kernels, memory, licence.

A job of a recipe that does not fit would wait for ever or end in its first step, so it is refused here.
"""

from collections.abc import Mapping

from app.contract.models import ModelRecord
from generators.inputs.platform import BaseModelSource, Platform
from generators.inputs.reading import Document
from generators.inputs.sources import TenantSource
from generators.inputs.tenant import Tenant
from trainer.contract.recipe import Recipe

WITHOUT_BF16 = frozenset({"turing"})  # and without FlashAttention: both need compute capability 8.0
Recipes = Mapping[str, Recipe]


def refuse_misfits(each: TenantSource, platform: Platform, recipes: Recipes) -> None:
    """Recipes and bases of one tenant's model records."""
    for name, record in each.tenant.models.items():
        document = each.records[name]
        if (found := recipes.get(record.recipe)) and (reason := misfit(found, each.tenant, platform)):
            document.refuse(("recipe",), f"{record.recipe!r} {reason}; choose another recipe")
        if base := platform.catalogue.get(record.base):
            _refuse_licence(record, document, tenant=each.tenant, base=base)
            _refuse_memory(record, document, tenant=each.tenant, platform=platform)
        _refuse_parts_of_gpus(record, document, tenant=each.tenant, platform=platform)


def refuse_default_misfits(platform: Platform, document: Document, tenants: list[Tenant], *, recipes: Recipes) -> None:
    """A base's own recipe is what a job of any tenant gets that names no model record, so it fits every tenant."""
    for name, base in platform.catalogue.items():
        found = recipes.get(base.recipe)
        reasons = {tenant.id: misfit(found, tenant, platform) for tenant in tenants} if found else {}
        for tenant, reason in reasons.items():
            if reason:
                text = f"{base.recipe!r} {reason}; choose a recipe that fits all tenants, and name it in their records"
                document.refuse(("catalogue", name, "recipe"), f"for {tenant}, {text}")


def misfit(recipe: Recipe, tenant: Tenant, platform: Platform) -> str | None:
    """Why jobs of the recipe cannot run on the tenant's GPUs, or None. A recipe of CPU alone always can."""
    gpus = tenant.training.gpus
    flavor = platform.gpu_flavors.get(gpus.flavor)
    if recipe.nodes > 1 and tenant.training.runner == "rayjob":
        return f"has {recipe.nodes} nodes, and runner rayjob starts ranks on one alone (take jobset or trainjob)"
    if flavor is None or not recipe.gpus:
        return None  # an unknown flavor is said at its own line
    if recipe.gpus > tenant.most_gpus:
        taken = f"takes {recipe.gpus} GPUs in step train ({recipe.nodes} x {recipe.gpus_per_node})"
        there = f"{tenant.most_gpus} ({gpus.guaranteed} guaranteed, {gpus.borrow} borrowed)"
        return f"{taken}, and tenants/{tenant.id}.yaml training.gpus has {there}"
    if flavor.sharing and recipe.gpus_per_node > 1:
        return f"has {recipe.gpus_per_node} GPUs in a pod, and flavor {gpus.flavor} shares one among several pods"
    if flavor.architecture in WITHOUT_BF16 and recipe.precision == "bf16":
        return f"trains in bf16, which flavor {gpus.flavor} ({flavor.architecture}) has not"
    if flavor.architecture in WITHOUT_BF16 and recipe.attention == "flash":
        return f"uses FlashAttention, which flavor {gpus.flavor} ({flavor.architecture}) cannot run"
    return None


def _refuse_licence(record: ModelRecord, document: Document, *, tenant: Tenant, base: BaseModelSource) -> None:
    if tenant.use in base.forbids:
        text = f"licence {base.licence} forbids {tenant.use} use, which tenants/{tenant.id}.yaml is for (`use`)"
        document.refuse(("base",), f"{record.base!r}: {text}; choose another base")


def _refuse_memory(record: ModelRecord, document: Document, *, tenant: Tenant, platform: Platform) -> None:
    """The weights of a base stand on the GPUs of one server; a server without GPUs has main memory."""
    name = tenant.training.gpus.flavor
    flavor = platform.gpu_flavors.get(name)
    needed, gpus = platform.catalogue[record.base].memory_gib, record.serving.gpus_per_replica
    if not flavor or not gpus:
        return
    parts = flavor.sharing.replicas if flavor.sharing else 1
    if needed * parts > gpus * flavor.memory_gib:
        shown = f"{gpus} x {name}, of which {parts} pods share each" if parts > 1 else f"{gpus} x {name}"
        larger = f"set it to {-(-needed // flavor.memory_gib)} or choose a smaller base"
        remedy = "choose a smaller base, or a flavor without sharing" if parts > 1 else larger
        text = f"{record.base!r} needs {needed} GiB of GPU memory and a server has {gpus * flavor.memory_gib / parts:g}"
        document.refuse(("serving", "gpusPerReplica"), f"{text} ({shown}); {remedy}")


def _refuse_parts_of_gpus(record: ModelRecord, document: Document, *, tenant: Tenant, platform: Platform) -> None:
    """The device plugin gives a pod one part of a shared GPU and fails on more: two could be of one and the same."""
    flavor, gpus = platform.gpu_flavors.get(tenant.training.gpus.flavor), record.serving.gpus_per_replica
    if flavor and flavor.sharing and gpus > 1:
        text = f"{gpus} GPUs of a server, and flavor {tenant.training.gpus.flavor} shares each among several pods"
        document.refuse(("serving", "gpusPerReplica"), f"{text}; set it to 1 or choose a flavor without sharing")
