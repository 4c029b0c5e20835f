"""Network policies of one tenant: what its pods may reach, and who may reach them.

Every rule names accounts. `default` is named by none, so the default deny alone closes it and its removal is seen.
"""

from app.contract.internal import METRICS_PORT, MODEL_PORT, STATUS_PORT
from generators import hosts, mesh, naming, policies
from generators.inputs.platform import Platform
from generators.inputs.recipes import tenant_recipes
from generators.inputs.tenant import Tenant
from generators.manifest import Body, Construct, Place, Wave, manifest
from generators.naming import EXECUTOR, MODEL, MONITORING_NAMESPACE, STEP, STORAGE_NAMESPACE, SYSTEM_NAMESPACE
from generators.policies import from_entity, from_pods, pods, policy, resolve, subject, to_entity, to_host, to_pods

PROMETHEUS = pods(MONITORING_NAMESPACE, "prometheus")
KUBERAY = pods("kuberay-system", "kuberay-operator")
RAY_PORT = 8265  # dashboard and job API, which the operator asks for the job's state


class TenantNetwork(Construct):
    """Default deny and the declared flows of `<tenant>-train`, `<tenant>-serve` and the tenant's callbacks."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        made = [
            *((naming.training_namespace(tenant.id), *each) for each in training_policies(tenant, platform)),
            *((naming.serving_namespace(tenant.id), *each) for each in serving_policies(tenant, platform)),
            *((SYSTEM_NAMESPACE, *each) for each in callback_policies(tenant, platform)),
            *((namespace, body, "isolation") for namespace, body in slot_policies(tenant, platform)),
        ]
        for namespace, body, key in made:
            manifest(self, body, at=Place("foundation", namespace, tenant.key(key), Wave.POLICY))


def training_policies(tenant: Tenant, platform: Platform) -> list[tuple[Body, str]]:
    """Policies of `<tenant>-train`, each with the key of the tenant file that it comes from."""
    trainers, labels = trainer_accounts(tenant), naming.labels(tenant.id)
    data = subject(STEP, *trainers)  # the accounts that touch data; `executor` reaches the API server and nothing else
    names = (hosts.WATCHER, *hosts.storage_names(tenant, platform), *tenant.egress)
    api_server = to_entity("kube-apiserver", platform.api_server.port)
    status = to_pods([pods(SYSTEM_NAMESPACE, "watcher")], STATUS_PORT)
    made = [
        (policies.default_deny(labels), ""),
        (
            policy(
                "dns", of=data, labels=labels, egress=[resolve(platform, names, patterns=rank_hosts(tenant, platform))]
            ),
            "egress",
        ),
        (policy("bucket", of=data, labels=labels, egress=own_store(tenant, platform)), ""),
        (policy("models", of=data, labels=labels, egress=[models_store(platform)]), ""),
        (policy("status", of=data, labels=labels, egress=[status]), ""),
        (policy("apiserver", of=subject(EXECUTOR, STEP), labels=labels, egress=[api_server]), ""),
        (policy("scrape", of=data, labels=labels, ingress=[from_pods([PROMETHEUS], METRICS_PORT)]), ""),
        *((ranks_policy(account, tenant), "isolation") for account in trainers),
    ]
    if tenant.training.runner == "rayjob":
        made.append(
            (
                policy("ray", of=subject(*trainers), labels=labels, ingress=[from_pods([KUBERAY], RAY_PORT)]),
                "training.runner",
            )
        )
    if tenant.egress:
        allowed = [to_host(host) for host in tenant.egress]
        denied = [policies.private_ranges(platform)]
        made.append((policy("egress", of=data, labels=labels, egress=allowed, egress_deny=denied), "egress"))
    return made


def serving_policies(tenant: Tenant, platform: Platform) -> list[tuple[Body, str]]:
    """Policies of `<tenant>-serve`, likewise."""
    labels, model = naming.labels(tenant.id), subject(MODEL)
    entrance = mesh.entrance(platform, MODEL_PORT) if mesh.is_used(platform) else from_entity("ingress", MODEL_PORT)
    requests = [from_pods([pods(SYSTEM_NAMESPACE, "router")], MODEL_PORT), entrance]
    metrics = mesh.METRICS_PORT if mesh.is_used(platform) else MODEL_PORT
    names = [*hosts.storage_names(tenant, platform), *(mesh.CONTROL_NAMES if mesh.is_used(platform) else ())]
    made = [
        policies.default_deny(labels),
        policy("dns", of=model, labels=labels, egress=[resolve(platform, names, patterns=ray_heads(tenant))]),
        policy("bucket", of=model, labels=labels, egress=own_store(tenant, platform)),
        policy("models", of=model, labels=labels, egress=[models_store(platform)]),
        policy("requests", of=model, labels=labels, ingress=requests),
        policy("scrape", of=model, labels=labels, ingress=[from_pods([PROMETHEUS], metrics)]),
        *([policy("mesh", of=model, labels=labels, egress=[mesh.control()])] if mesh.is_used(platform) else []),
        *(ray_policies(tenant) if ray_heads(tenant) else []),
    ]
    return [(body, "") for body in made]


def ray_policies(tenant: Tenant) -> list[Body]:
    """Of a tenant with runtime `ray`: the pods of its clusters among themselves, on all ports, and KubeRay to a head.

    All models of the tenant are one account, so its clusters can reach each other; no other tenant's pod can.
    """
    labels, own = naming.labels(tenant.id), [pods(naming.serving_namespace(tenant.id), MODEL)]
    asked = [from_pods(own), from_pods([KUBERAY], RAY_PORT), from_pods([PROMETHEUS], METRICS_PORT)]
    return [policy("ray", of=subject(MODEL), labels=labels, ingress=asked, egress=[to_pods(own)])]


def ray_heads(tenant: Tenant) -> list[str]:
    """Host names by which workers find their head; KubeRay puts five characters of its own into each."""
    domain = f"{naming.serving_namespace(tenant.id)}.svc.cluster.local"
    return [f"{name}-*-head-svc.{domain}" for name, record in tenant.models.items() if record.serving.runtime == "ray"]


def callback_policies(tenant: Tenant, platform: Platform) -> list[tuple[Body, str]]:
    """What the webhook sender may reach for this tenant; beside its own DNS rule, the one exception to D11a."""
    if not tenant.callbacks:
        return []
    labels, sender, name = naming.labels(tenant.id), subject("webhooks"), f"webhooks-{tenant.id}"
    reach = policy(name, of=sender, labels=labels, egress=[to_host(host) for host in tenant.callbacks])
    ask = policy(f"{name}-dns", of=sender, labels=labels, egress=[resolve(platform, tenant.callbacks)])
    return [(reach, "callbacks"), (ask, "callbacks")]


def slot_policies(tenant: Tenant, platform: Platform) -> list[tuple[str, Body]]:
    """The platform's side of the slots of isolation `hard`; its own objects name `trainer` alone.

    Accounts of slots differ in number between tenants, and an object that lists them all would change with each.
    """
    if tenant.isolation == "standard":
        return []
    labels, name = naming.labels(tenant.id), f"slots-{tenant.id}"
    slots = [pods(naming.training_namespace(tenant.id), *trainer_accounts(tenant))]
    status, models = [from_pods(slots, STATUS_PORT)], [from_pods(slots, hosts.S3_PORT)]
    scrape = [to_pods(slots, METRICS_PORT)]
    made = [
        (SYSTEM_NAMESPACE, policy(name, of=subject("watcher"), labels=labels, ingress=status)),
        (MONITORING_NAMESPACE, policy(name, of=subject("prometheus"), labels=labels, egress=scrape)),
    ]
    if platform.storage.mode == "inCluster":
        gateway = subject(naming.storage_account("models"))
        made.append((STORAGE_NAMESPACE, policy(name, of=gateway, labels=labels, ingress=models)))
    return made


def trainer_accounts(tenant: Tenant) -> tuple[str, ...]:
    """Accounts of training ranks: one for all jobs, or with `isolation: hard` one per job that may run at a time.

    Drift evaluations, which run beside the jobs and one after another, have the one after those.
    """
    if tenant.isolation == "standard":
        return (naming.TRAINER,)
    slots = tenant.limits.running_jobs + (1 if tenant.drift else 0)
    return tuple(f"{naming.TRAINER}-{slot}" for slot in range(slots))


def ranks_policy(account: str, tenant: Tenant) -> Body:
    """Ranks of one account among themselves, on all ports: NCCL and gloo choose theirs."""
    peers = [pods(naming.training_namespace(tenant.id), account)]
    name = account.replace(naming.TRAINER, "ranks")
    labels = naming.labels(tenant.id)
    return policy(name, of=subject(account), labels=labels, egress=[to_pods(peers)], ingress=[from_pods(peers)])


def rank_hosts(tenant: Tenant, platform: Platform) -> list[str]:
    """Names by which a job's pods find each other: a Ray cluster's head, or a JobSet's pods where there are several."""
    domain = f"{naming.training_namespace(tenant.id)}.svc.cluster.local"
    if tenant.training.runner == "rayjob":
        return [f"ft-*-head-svc.{domain}"]
    several = any(recipe.nodes > 1 for recipe in tenant_recipes(tenant, platform).values())
    return [f"*.ft-*.{domain}"] if several else []


def own_store(tenant: Tenant, platform: Platform) -> list[Body]:
    """The tenant's own bucket, and on AWS the token service that its role's credentials come from."""
    if platform.storage.mode == "s3":
        return [to_host(hosts.own_bucket(tenant, platform)), *map(to_host, hosts.credentials(platform))]
    return [to_pods([pods(STORAGE_NAMESPACE, naming.storage_account(tenant.id))], hosts.S3_PORT)]


def models_store(platform: Platform) -> Body:
    """The base models' bucket, which all tenants read."""
    if platform.storage.mode == "s3":
        return to_host(hosts.base_models(platform))
    return to_pods([pods(STORAGE_NAMESPACE, naming.storage_account("models"))], hosts.S3_PORT)
