"""All objects of one model record."""

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.serving import analysis, disruption, monitoring, ray, scaling, services, traffic
from generators.serving.experiment import compared, experiment
from generators.serving.rollout import rollout
from generators.serving.runtimes import runtime
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
    serving = served.record.serving
    if serving.runtime == "ray":
        return [*ray.servers(served), *monitoring.objects(served)]
    made: Objects = [
        (rollout(served), Wave.ROLLOUT, "serving"),
        *runtime(served).files(served),
        (disruption.budget(served), Wave.SERVICE, "serving.replicas"),
        (services.service(served, services.stable_service(served.model)), Wave.SERVICE, "serving"),
        (services.service(served, services.canary_service(served.model)), Wave.SERVICE, "serving"),
        *analysis.templates(served),
        *monitoring.objects(served),
    ]
    if serving.autoscale:
        made.append((scaling.scaler(served, serving.autoscale), Wave.ROLLOUT, "serving.autoscale"))
    if serving.experiment:
        made.append((experiment(served, serving.experiment), Wave.ROLLOUT, "serving.experiment"))
        made += [each for part in compared(served) for each in runtime(part).files(part)]
    return [*made, *_arm_b(served)]


def _arm_b(served: Served) -> Objects:
    """The second version of an A/B test: a Rollout of its own, for as long as the key stands."""
    if not served.record.serving.ab:
        return []
    arm = Served(served.tenant, served.platform, served.model, "b")
    return [
        (rollout(arm), Wave.ROLLOUT, "serving.ab"),
        *runtime(arm).files(arm),
        (disruption.budget(arm), Wave.SERVICE, "serving.ab"),
        (services.service(arm, services.arm_service(arm)), Wave.SERVICE, "serving.ab"),
    ]
