"""The admission backstop: the rules of the rendered tree, held by the API server against whoever else writes to it."""

from collections.abc import Sequence

from generators.cluster.admission import meshes, namespaces, pods, rollouts, routes, workflows
from generators.cluster.admission.policy import AdmissionPolicy, binding_body, policy_body
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

__all__ = ["PlatformAdmission", "admission_policies"]


class PlatformAdmission(Construct):
    """One ValidatingAdmissionPolicy with its binding for each rule. They name no tenant (DESIGN D2)."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", None, "platform.yaml", Wave.ACCESS)
        for policy in admission_policies(platform):
            manifest(self, policy_body(policy), at=place)
            manifest(self, binding_body(policy), at=place)


def admission_policies(platform: Platform) -> Sequence[AdmissionPolicy]:
    """All of them, by subject."""
    return (
        namespaces.namespace_labels(),
        namespaces.tenant_label(),
        pods.pods(platform),
        pods.resize(),
        workflows.workflows(),
        workflows.cron_workflows(),
        workflows.workflow_templates(),
        rollouts.rollouts(),
        rollouts.promotion(),
        rollouts.analyses(),
        rollouts.experiments(),
        routes.routes(platform),
        routes.services(),
        routes.entrances(),
        *meshes.mesh_policies(platform),
    )
