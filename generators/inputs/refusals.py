"""Rules across files. Each refusal stands at the line of the key that breaks it; all are collected."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from app.contract.directory import Credential
from app.contract.models import ModelRecord
from generators import naming
from generators.images import UNKNOWN_DIGEST, LockedImage
from generators.inputs.addresses import refuse_ranges
from generators.inputs.fitness import Recipes, refuse_default_misfits, refuse_misfits
from generators.inputs.outside import refuse_hosts
from generators.inputs.places import refuse_places
from generators.inputs.platform import Platform
from generators.inputs.reading import Document, KeyPath
from generators.inputs.recipes import recipe_names
from generators.inputs.sharing import refuse_sharing
from generators.inputs.sources import PlatformSource, TenantSource
from generators.inputs.tenant import Tenant
from generators.inputs.wildcards import refuse_wildcards


def refuse_across(
    platform: Platform, source: PlatformSource, tenants: Sequence[TenantSource], *, recipes: Recipes
) -> None:
    """Collect every breach in the documents. `recipes`: those without a fault, by name."""
    refuse_platform(platform, source)
    refuse_default_misfits(platform, source.document, [each.tenant for each in tenants], recipes=recipes)
    for document in (source.document, source.lock, source.charts):
        refuse_wildcards(document)
    for each in tenants:
        refuse_gpus(each.tenant, each.document, platform)
        refuse_money(each.tenant, each.document, platform)
        refuse_issuers(each.tenant, each.document, platform)
        refuse_hosts(each.tenant, each.document, platform)
        for name, record in each.tenant.models.items():
            refuse_record(name, record, each.records[name], platform)
        refuse_misfits(each, platform, recipes)
    refuse_places(platform, source.document, tenants)
    refuse_sharing(platform, source.document, tenants, recipes=recipes)
    refuse_promised_capacity(platform, source.document, [each.tenant for each in tenants])


def refuse_between(tenants: Sequence[TenantSource]) -> None:
    """What tenants and their records break without regard to the platform, so that a fault of its file hides none."""
    for each in tenants:
        for document in each.documents:
            refuse_wildcards(document)
        refuse_serving_peak(each.tenant, each.document)
        for name in each.tenant.models:
            refuse_taken_name(name, each.tenant.models, each.records[name])
    refuse_shared_callers(tenants)


def refuse_platform(platform: Platform, source: PlatformSource) -> None:
    """Recipes and digests of the catalogue, ranges of addresses, registries and digests of images and charts."""
    document = source.document
    refuse_ranges(platform, document)
    for name, base in platform.catalogue.items():
        if base.recipe not in recipe_names():
            document.refuse(("catalogue", name, "recipe"), _unknown("recipe", base.recipe, recipe_names()))
        if platform.production and base.digest == UNKNOWN_DIGEST:
            text = "is the all-zero digest and production is true; name the sha256 of the base's MANIFEST.json"
            document.refuse(("catalogue", name, "digest"), text)
    for lock, locked in ((source.lock, platform.images), (source.charts, platform.charts)):
        refuse_locked(lock, locked, platform)


def refuse_locked(lock: Document, locked: Mapping[str, LockedImage], platform: Platform) -> None:
    """Each from a registry that is trusted; in production each by a digest that is known."""
    trusted = tuple(f"{registry.rstrip('/')}/" for registry in platform.trusted_registries)
    for name, one in locked.items():
        if not one.repository.startswith(trusted):
            text = f"{one.repository!r} is in no registry of platform.yaml trustedRegistries; mirror it there"
            lock.refuse((name, "repository"), text)
        if platform.production and one.digest == UNKNOWN_DIGEST:
            text = "is the all-zero digest and production is true; build or mirror it and name its digest"
            lock.refuse((name, "digest"), text)


def refuse_gpus(tenant: Tenant, document: Document, platform: Platform) -> None:
    """The flavor is there and holds what the tenant may take."""
    gpus, path = tenant.training.gpus, ("training", "gpus")
    flavor = platform.gpu_flavors.get(gpus.flavor)
    if flavor is None:
        document.refuse((*path, "flavor"), _unknown("flavor", gpus.flavor, platform.gpu_flavors))
    elif gpus.guaranteed > flavor.capacity:
        text = f"{gpus.guaranteed} is more than flavor {gpus.flavor} holds ({flavor.capacity})"
        document.refuse((*path, "guaranteed"), f"{text}; lower it or use `borrow`")
    elif tenant.most_gpus > flavor.capacity:
        text = f"{gpus.borrow} on top of {gpus.guaranteed} is more than flavor {gpus.flavor} holds ({flavor.capacity})"
        document.refuse((*path, "borrow"), f"{text}; lower it to {flavor.capacity - gpus.guaranteed}")


def refuse_serving_peak(tenant: Tenant, document: Document) -> None:
    """All models in a roll-out at one time still fit the serving quota (D8); the text names the step of each."""
    from generators.serving.rollout import peak_gpus, peak_step

    peaks = {name: peak_gpus(record.serving) for name, record in tenant.models.items()}
    if (peak := sum(peaks.values())) > tenant.serving.gpus:
        steps = {name: peak_step(tenant.models[name].serving) for name in peaks}
        shown = ", ".join(f"{name} {gpus} {steps[name]}" for name, gpus in peaks.items() if gpus)
        text = f"{tenant.serving.gpus} GPUs are fewer than a roll-out needs at its peak ({peak}: {shown}); "
        document.refuse(("serving", "gpus"), text + f"raise it to {peak}, or lower replicas or add a weight of 75")


def refuse_money(tenant: Tenant, document: Document, platform: Platform) -> None:
    """One currency: sums over two would mean nothing."""
    if tenant.budget and tenant.budget.currency != platform.prices.currency:
        text = f"{tenant.budget.currency!r} is not the currency of platform.yaml prices; use {platform.prices.currency}"
        document.refuse(("budget", "currency"), text)


def refuse_issuers(tenant: Tenant, document: Document, platform: Platform) -> None:
    """Tokens are taken from issuers that the platform trusts."""
    for index, credential in enumerate(tenant.credentials):
        if credential.oidc and credential.oidc.issuer not in platform.oidc_issuers:
            text = _unknown("issuer", credential.oidc.issuer, platform.oidc_issuers, where="platform.yaml oidcIssuers")
            document.refuse(("credentials", index, "oidc", "issuer"), text)


def refuse_record(name: str, record: ModelRecord, document: Document, platform: Platform) -> None:
    """A model record names what the platform has, and versions that are its own."""
    if record.base not in platform.catalogue:
        text = _unknown("base model", record.base, platform.catalogue, where="the catalogue of platform.yaml")
        document.refuse(("base",), text)
    if record.recipe not in recipe_names():
        document.refuse(("recipe",), _unknown("recipe", record.recipe, recipe_names()))
    for index, version in enumerate(record.versions):
        if version.version != (wanted := f"{name}-{version.job[:12]}"):
            text = f"{version.version!r} is not the name of job {version.job} in this record; it is {wanted!r}"
            document.refuse(("versions", index, "version"), text)
    if record.serving.runtime == "ray":
        refuse_ray(name, record, document, platform=platform)


def refuse_ray(name: str, record: ModelRecord, document: Document, *, platform: Platform) -> None:
    """What Ray Serve and KubeRay cannot do."""
    if not record.serving.replicas or not record.serving.gpus_per_replica:
        text = "Ray Serve starts no engine without a server and a GPU; set replicas and gpusPerReplica to 1 at least"
        document.refuse(("serving",), text)
    if name[0].isdigit():
        document.refuse((), f"{name!r} begins with a digit, which KubeRay takes for no RayService; rename the file")
    if platform.traffic_router == "istio":
        text = (
            "'ray' speaks between its pods on ports that no sidecar lets through; use vllm behind trafficRouter istio"
        )
        document.refuse(("serving", "runtime"), text)


def refuse_taken_name(name: str, models: Collection[str], document: Document) -> None:
    """No model has the name of another one's objects, such as arm b of its A/B test."""
    for end in naming.MODEL_ENDS:
        if name.endswith(end) and (other := name.removesuffix(end)) in models:
            document.refuse((), f"model {name!r} has the name of an object of model {other!r}; choose another name")


def refuse_shared_callers(tenants: Sequence[TenantSource]) -> None:
    """A caller is of exactly one tenant, so no two rules anywhere match the same caller."""
    seen: dict[tuple[str, ...], str] = {}
    for each in tenants:
        for index, credential in enumerate(each.tenant.credentials):
            path, key, shown = _caller(credential)
            where = f"{each.document.file} credentials[{index}]"
            if key in seen:
                text = f"{shown} is {seen[key]} already; a caller has exactly one tenant, so remove one of them"
                each.document.refuse(("credentials", index, *path), text)
            seen.setdefault(key, where)


def refuse_promised_capacity(platform: Platform, document: Document, tenants: Sequence[Tenant]) -> None:
    """What all tenants are guaranteed, what their servers may take on the same nodes, and the shared part exist.

    Otherwise Kueue, which counts jobs alone, would admit some that no node has GPUs for.
    """
    for name, flavor in platform.gpu_flavors.items():
        promised = [t for t in tenants if t.training.gpus.flavor == name]
        if any(t.training.gpus.guaranteed > flavor.capacity for t in promised):
            continue  # said at the tenant's own line
        total = sum(t.training.gpus.guaranteed + t.serving.gpus for t in promised) + flavor.shared
        if total > flavor.capacity:
            parts = [shown for t in promised if (shown := _shown_promise(t))]
            shown = ", ".join([*parts, f"shared {flavor.shared}"] if flavor.shared else parts)
            text = f"{flavor.capacity} GPUs are fewer than what is promised ({total}: {shown}); "
            document.refuse(("gpuFlavors", name, "capacity"), text + "lower a guarantee or the GPUs of serving")


def _shown_promise(tenant: Tenant) -> str:
    """`acme 2 + 4 for serving`; empty for a tenant that is promised nothing."""
    amounts = ((tenant.training.gpus.guaranteed, ""), (tenant.serving.gpus, " for serving"))
    shown = " + ".join(f"{gpus}{what}" for gpus, what in amounts if gpus)
    return f"{tenant.id} {shown}" if shown else ""


def _caller(credential: Credential) -> tuple[KeyPath, tuple[str, ...], str]:
    """Where the rule stands, what identifies its callers, how it is shown. An audience tells no two people apart."""
    if credential.api_key:
        return ("apiKey", "id"), ("key", credential.api_key.id), repr(credential.api_key.id)
    oidc = credential.oidc
    assert oidc is not None  # noqa: S101 - the model has exactly one of the two
    return ("oidc",), ("oidc", oidc.issuer, oidc.claim, oidc.value), f"{oidc.claim}={oidc.value} of {oidc.issuer}"


def _unknown(noun: str, value: str, known: Iterable[str], *, where: str = "") -> str:
    shown = ", ".join(known) or "none"
    return f"{value!r} is no {noun}{f' of {where}' if where else ''}; use one of: {shown}"
