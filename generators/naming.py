"""Names and labels of everything rendered. The only place that builds them."""

import re
from collections.abc import Iterator

PREFIX = "tenon.dev"  # label and annotation prefix

TENANT_LABEL = f"{PREFIX}/tenant"
PLANE_LABEL = f"{PREFIX}/plane"  # on namespaces: train | serve | system
MODEL_LABEL = f"{PREFIX}/model"  # on model servers, like the next; metrics carry both, no policy trusts them
VERSION_LABEL = f"{PREFIX}/version"
WORKFLOW_LABEL = f"{PREFIX}/workflow"  # on what a Workflow made, so that its end finds it
MANAGED_BY = {"app.kubernetes.io/managed-by": "tenon"}

SYSTEM_NAMESPACE = "tenon-system"
STORAGE_NAMESPACE = "storage"
MONITORING_NAMESPACE = "monitoring"
BROKER_NAMESPACE = "kafka"
STORE_NAMESPACE = "postgres"
WORKFLOWS_NAMESPACE = "argo"  # of the workflow controller
ARGOCD_NAMESPACE = "argocd"

TENANT_ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")
_OF_ADDONS = """
    addons argo-rollouts argo-rollouts-crds argo-workflows argo-workflows-crds dra-driver external-secrets gateway-api
    gpu-operator istio-base istio-cni istio-gateway istio-system istiod jobset jobset-system keda kubeflow-system
    kuberay kuberay-system kueue-system prometheus prometheus-adapter strimzi trainer
"""
_OF_THE_TREE = """
    analyses api canaries cost cron cron-workflows destination destination-rules entity entity-operator entrances
    experiments gpu gpu-nodes gpus ingest jobs kafka-bootstrap mesh mesh-kinds namespace namespace-labels pod
    pod-resize pods portal promoter reader rollout rollout-promotion rollouts routes services tenant tenant-label
    token token-reviewer virtual virtual-services workflow workflow-templates workflows
"""
# Ids with which a tenant's names would be the cluster's, an add-on's, or (with bucket prefix `tenon`) the platform's.
# Tests hold the list to the tree that is rendered.
RESERVED_IDS = frozenset(
    {
        "platform",
        "default",
        "models",
        "tenon",
        "kube",
        "kube-system",
        "kube-public",
        "cilium",
        "argo",
        "argocd",
        "kueue",
        "kafka",
        "postgres",
        "storage",
        "monitoring",
        "gateway",
        "istio",
        "s3",
        "schema",
        "serving",
        "system",
        *_OF_ADDONS.split(),
        *_OF_THE_TREE.split(),
    }
)

RESERVED_STARTS = ("directory-", "s3-", "slots-", "webhooks-")  # what names of a tenant's objects begin with
RESERVED_ENDS = ("-dns", "-foundation", "-serve", "-train", "-workloads")  # what names of a tenant's objects end in

# What names of a model's objects end in; `x-b` beside a model `x` would be two things.
MODEL_ENDS = ("-active", "-b", "-base", "-canary", "-preview", "-tuned")

# Accounts by role (DESIGN D11). `default` is named by no rule and carries no token.
EXECUTOR, STEP, TRAINER = "executor", "step", "trainer"  # of -train
MODEL = "model"  # of -serve
DEPLOYER = "deployer"  # Argo CD's own; no pod may run as it

QUEUE = "default"  # LocalQueue of every -train namespace; Kueue gives it unlabelled jobs too
COHORT = "tenants"  # Kueue cohort in which idle guarantees are lent

# WorkloadPriorityClasses: who waits longer inside one tenant's queue, and who is suspended first.
FINETUNE, SEARCH, DRIFT = "finetune", "search", "drift"
# PriorityClasses of pods: our services before model servers before training, which has the default.
SERVICES_PRIORITY, SERVING_PRIORITY = "tenon-platform", "tenon-serving"


def refusal_of(tenant_id: str) -> str | None:
    """Why this is no tenant id, or None."""
    if not TENANT_ID.fullmatch(tenant_id):
        return "a tenant id is a lower-case DNS label of 3-32 characters that begins with a letter; choose another"
    if tenant_id in RESERVED_IDS:
        return "the id is reserved; choose another"
    if tenant_id.endswith(RESERVED_ENDS):
        return f"an id does not end in {', '.join(RESERVED_ENDS)} (another tenant's objects do); choose another"
    if tenant_id.startswith(RESERVED_STARTS):
        return f"an id does not begin with {', '.join(RESERVED_STARTS)} (another tenant's objects do); choose another"
    return None


def training_namespace(tenant: str) -> str:
    return f"{tenant}-train"


def serving_namespace(tenant: str) -> str:
    return f"{tenant}-serve"


def derived(tenant: str, *, prefix: str) -> Iterator[str]:
    """Names that say whose they are; others may go on behind a dash."""
    yield from (f"{tenant}{end}" for end in RESERVED_ENDS if end != "-dns")
    yield bucket(prefix, tenant)
    yield from (f"{start}{tenant}" for start in RESERVED_STARTS)


GROUND = "ground"  # part of the platform tree that add-ons need before they run: namespaces, accounts, settings
RENDERED = "rendered"  # everything below it is ours: what is not rendered is stale


def rendered_folder(cluster: str) -> str:
    """What Argo CD syncs on one cluster, relative to the repository."""
    return f"{RENDERED}/{cluster}"


def platform_folder(cluster: str) -> str:
    return f"{rendered_folder(cluster)}/platform"


def tenant_folder(cluster: str, tenant: str) -> str:
    return f"{rendered_folder(cluster)}/tenants/{tenant}"


def bucket(prefix: str, tenant: str) -> str:
    return f"{prefix}-{tenant}"


ROLE = "eks.amazonaws.com/role-arn"  # annotation of a service account; EKS gives its pods the role's credentials


def role(aws_account: str, *, bucket: str, account: str) -> str:
    """The one role by which a service account reaches a bucket."""
    return f"arn:aws:iam::{aws_account}:role/{bucket}-{account}"


def models_bucket(prefix: str) -> str:
    """The one bucket that tenants share, read only."""
    return f"{prefix}-models"


def storage_account(tenant: str) -> str:
    """Account, Deployment and gateway of a tenant's own entry to the in-cluster object store."""
    return f"s3-{tenant}"


def owners_group(tenant: str) -> str:
    """Group (of the cluster's identity provider) whose members read and promote."""
    return f"tenon:{tenant}"


def labels(tenant: str) -> dict[str, str]:
    """Labels of every object rendered for a tenant."""
    return {**MANAGED_BY, TENANT_LABEL: tenant}
