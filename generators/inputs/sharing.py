"""Rules of GPUs that are shared, claimed or resized: each option of a tenant is one that its flavor has."""

from collections.abc import Sequence

from generators.inputs.fitness import Recipes
from generators.inputs.platform import GpuFlavor, Platform
from generators.inputs.reading import Document
from generators.inputs.sources import TenantSource

DIVISION_LABEL = "nvidia.com/device-plugin.config"  # of a node: how the device plugin divides its GPUs
PLUGIN_LABEL = "nvidia.com/gpu.deploy.device-plugin"  # of a node: "false" keeps the GPU operator's device plugin off


def refuse_sharing(
    platform: Platform, document: Document, tenants: Sequence[TenantSource], *, recipes: Recipes
) -> None:
    """Flavors that share their GPUs, and what tenants want of them. `recipes`: those without a fault, by name."""
    for name, flavor in platform.gpu_flavors.items():
        _refuse_flavor(name, flavor, document)
        if flavor.sharing:
            _refuse_second_tenant(name, [each for each in tenants if each.tenant.training.gpus.flavor == name])
    for each in tenants:
        if wanted := platform.gpu_flavors.get(each.tenant.training.gpus.flavor):
            _refuse_mode(each, wanted)
            _refuse_claims(each, wanted)
            _refuse_resize(each, wanted, platform=platform, recipes=recipes)


def _refuse_flavor(name: str, flavor: GpuFlavor, document: Document) -> None:
    """Nodes of the flavor are divided as it says, and no tenant may borrow what has no walls."""
    path, divided_as = ("gpuFlavors", name), flavor.node_labels.get(DIVISION_LABEL)
    _refuse_plugin(name, flavor, document)
    if not flavor.sharing:
        if divided_as:
            text = f"{DIVISION_LABEL}: {divided_as} divides GPUs that the flavor does not share; remove it"
            document.refuse((*path, "nodeLabels"), text)
        return
    if divided_as != name:
        text = f"{DIVISION_LABEL} is {divided_as!r} and has to be {name!r}, by which the device plugin divides a GPU"
        document.refuse((*path, "nodeLabels"), f"{text}; label the nodes and name it here")
    if flavor.shared:
        text = f"{flavor.shared} GPUs for any tenant to borrow, and flavor {name} keeps no memory apart; set it to 0"
        document.refuse((*path, "shared"), text)


def _refuse_plugin(name: str, flavor: GpuFlavor, document: Document) -> None:
    """Exactly one driver offers the GPUs of a node: the device plugin, or with a DeviceClass the DRA driver."""
    path, found = ("gpuFlavors", name, "nodeLabels"), flavor.node_labels.get(PLUGIN_LABEL)
    if flavor.device_class and found != "false":
        text = f"{PLUGIN_LABEL} is {found!r} and has to be 'false', because the DRA driver offers the GPUs of these "
        document.refuse(path, f"{text}nodes; label them and name it here")
    if not flavor.device_class and found is not None:
        text = f"{PLUGIN_LABEL}: {found} is for flavors with a deviceClass, whose GPUs another driver offers; remove it"
        document.refuse(path, text)


def _refuse_second_tenant(name: str, tenants: Sequence[TenantSource]) -> None:
    """Neither time slicing nor MPS keeps memory and faults apart (NVIDIA/k8s-device-plugin#507)."""
    for each in tenants[1:]:
        text = f"flavor {name} shares GPUs without memory isolation, and tenant {tenants[0].tenant.id} is on it already"
        each.document.refuse(("training", "gpus", "flavor"), f"{text}; choose another flavor")


def _refuse_mode(each: TenantSource, flavor: GpuFlavor) -> None:
    gpus, path = each.tenant.training.gpus, ("training", "gpus", "sharing")
    mode = flavor.sharing.mode if flavor.sharing else "none"
    if gpus.sharing != mode:
        text = (
            f"{gpus.sharing!r} is not how flavor {gpus.flavor} shares its GPUs; write {mode} or choose another flavor"
        )
        each.document.refuse(path, text)
    elif flavor.sharing and each.tenant.isolation == "hard":
        text = f"flavor {gpus.flavor} shares GPUs and isolation is hard: jobs of one GPU reach each other's memory"
        each.document.refuse(("isolation",), f"{text}; choose a flavor without sharing, or standard")


def _refuse_claims(each: TenantSource, flavor: GpuFlavor) -> None:
    """Kueue counts devices of a class; parameters of a claim, sharing among them, it does not take (0.19)."""
    training = each.tenant.training
    if training.claims == "devicePlugin":
        return
    name, path = training.gpus.flavor, ("training", "claims")
    if flavor.device_class is None:
        text = f"'dra' needs a DeviceClass and flavor {name} has none; set gpuFlavors.{name}.deviceClass"
        each.document.refuse(path, f"{text} or use devicePlugin")
    if flavor.sharing:
        text = f"'dra' claims whole GPUs and flavor {name} shares them; use devicePlugin"
        each.document.refuse(path, text)


def _refuse_resize(each: TenantSource, flavor: GpuFlavor, *, platform: Platform, recipes: Recipes) -> None:
    """A bound below what a pod begins with would refuse every pod."""
    resize = each.tenant.training.resize
    if resize is None:
        return
    names = {record.recipe for record in each.tenant.models.values()}
    names |= {base.recipe for base in platform.catalogue.values()}
    for name in sorted(names & recipes.keys()):
        begins = max(recipes[name].gpus_per_node, 1) * flavor.host_memory_gib_per_gpu
        if resize.most_memory_gib < begins:
            text = f"{resize.most_memory_gib} is less than a pod of recipe {name} begins with ({begins} GiB)"
            path = ("training", "resize", "mostMemoryGiB")
            each.document.refuse(path, f"{text}; raise it or leave resize out")
