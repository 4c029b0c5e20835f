"""Rules across files: capacity, catalogue, names. Each refusal is put at the line of the key that breaks it."""

from generators.inputs.platform import Platform
from generators.inputs.reading import Document
from generators.inputs.tenant import Tenant


def refuse_across(platform: Platform, tenants: list[tuple[Tenant, Document]]) -> None:
    """Collect every breach in the documents."""
    for tenant, document in tenants:
        _flavor(tenant, document, platform)


def _flavor(tenant: Tenant, document: Document, platform: Platform) -> None:
    gpus = tenant.training.gpus
    flavor = platform.gpu_flavors.get(gpus.flavor)
    if flavor is None:
        known = ", ".join(platform.gpu_flavors)
        document.refuse(
            ("training", "gpus", "flavor"), f"{gpus.flavor!r} is no flavor of platform.yaml; use one of {known}"
        )
    elif gpus.guaranteed > flavor.capacity:
        text = (
            f"{gpus.guaranteed} is more than flavor {gpus.flavor} holds ({flavor.capacity}); lower it or use `borrow`"
        )
        document.refuse(("training", "gpus", "guaranteed"), text)
