"""All objects of one model record."""

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.serving import analysis, services, traffic
from generators.serving.rollout import rollout
from generators.serving.server import Objects, Served, access_key_secret


class ModelServing(Construct):
    """The servers of one model, how requests reach them, what a new version is measured by."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform, model: str) -> None:
        super().__init__(scope, construct_id)
        served = Served(tenant, platform, model)
        namespace = naming.serving_namespace(tenant.id)
        for body, wave, key in workloads(served):
            manifest(self, body, at=Place("workloads", namespace, tenant.model_key(model, key), wave))
        # Secrets' sources are the platform's to name, never the tenant's deployer's.
        key_place = Place("foundation", namespace, tenant.model_key(model), Wave.CONFIG)
        manifest(self, access_key_secret(served), at=key_place)


def workloads(served: Served) -> Objects:
    """What the tenant's own project delivers."""
    return [*_servers(served), *traffic.router(served).objects(served)]


def _servers(served: Served) -> Objects:
    made: Objects = [
        (rollout(served), Wave.ROLLOUT, "serving"),
        (services.service(served, services.stable_service(served.model)), Wave.SERVICE, "serving"),
        (services.service(served, services.canary_service(served.model)), Wave.SERVICE, "serving"),
    ]
    if served.record.serving.strategy == "canary":
        made.append((analysis.analysis_template(served), Wave.TEMPLATE, "serving.canary"))
    return made
