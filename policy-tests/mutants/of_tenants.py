"""Whose an object is, who may do what, how much, by which delivery."""

from mutants.mutant import Body, Mutant, append, at, drop, in_manifest

TRAIN, SERVE = "acme-train", "acme-serve"
POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"
ADMISSION, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
PROJECT = ("AppProject", "argocd", "acme")
WORKLOADS, FOUNDATION = ("Application", "argocd", "acme-workloads"), ("Application", "argocd", "acme-foundation")
DENY = ("NetworkPolicy", TRAIN, "default-deny")
WORKFLOWS = ("WorkflowTemplate", TRAIN, "finetune-")
ROLLOUT = ("Rollout", SERVE, "replies")
STABLE = ("Service", SERVE, "replies-stable")
QUOTA, QUEUE = ("ResourceQuota", SERVE, ""), ("ClusterQueue", None, "acme")
OWNERS, EXECUTOR = ("Role", SERVE, "owners"), ("Role", TRAIN, "executor")
HELD_BY_OWNERS = ("RoleBinding", SERVE, "owners")
REVIEWER = ("ClusterRole", None, "tenon-token-reviewer")
STRANGER = {"kind": "ServiceAccount", "name": "step", "namespace": "globex-train"}
EVERYONE = {"kind": "Group", "name": "system:authenticated"}
MODELS = ("storage", "s3-models")
WRITERS = '{"identities": [{"name": "anonymous", "actions": ["Read:tenon-models", "Write:tenon-models"]}]}'
PROMOTER = "spec/roles/0/policies"


def policy(*, what: str = "applications", may: str = "get", on: str = "acme", of: str = "acme:promoter") -> str:
    return f"p, proj:{of}, {what}, {may}, {on}/*, allow"


QUEUED = "spec/resourceGroups/0/flavors/0/resources"
SECURITY = "metadata/labels/pod-security.kubernetes.io~"


def rule(group: str, resource: str, *verbs: str) -> Body:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def every_kind(project: Body) -> None:
    """Both lists of kinds opened; each alone still denies what isolates."""
    project["spec"] |= {"namespaceResourceBlacklist": [], "namespaceResourceWhitelist": [{"group": "*", "kind": "*"}]}


OWNERSHIP = [
    Mutant("H1", "kinds", *EXECUTOR, at("kind", "PersistentVolume"), ("rights",)),
    Mutant("H1", "kinds", *STABLE, at("kind", "Ingress"), ("delivery", "hosts", "rollouts")),
    Mutant("H1", "kinds", *WORKFLOWS, in_manifest("kind: JobSet", "kind: Job"), ("accounts", "nodes")),
    Mutant("H2", "own-names", *ROLLOUT, at("metadata/annotations/peer", "globex-serve"), ("sync-options",)),
    Mutant("H2", "own-names", *ROLLOUT, at("metadata/annotations/secret", "tenants/globex/bucket"), ("sync-options",)),
    Mutant("H2", "own-names", *WORKFLOWS, in_manifest("s3://tenon-acme", "s3://tenon-globex/x"), ("buckets",)),
    Mutant("H2", "own-names", "LocalQueue", TRAIN, "", at("spec/clusterQueue", "globex"), ("compute-quotas",)),
    Mutant("H30", "labels", *ROLLOUT, drop("metadata/labels/tenon.dev~tenant")),
    Mutant("H30", "labels", *ROLLOUT, at("spec/template/metadata/labels/tenon.dev~tenant", "globex"), ("own-names",)),
    Mutant("H31", "offboarding", "Namespace", None, "acme-train", drop("metadata/annotations"), ("sync-options",)),
    Mutant(
        "H31", "offboarding", "Cohort", None, "tenants", at("metadata/annotations/of", "acme-train"), ("sync-options",)
    ),
    Mutant("", "object-metadata", *DENY, at("metadata/generateName", "default-deny-")),
    Mutant("H32", "once", *STABLE, at("metadata/name", "replies-canary"), ("hosts", "rollouts")),
]
RIGHTS = [
    Mutant("H3", "rights", *OWNERS, append("rules", rule("", "pods", "*"))),
    Mutant("H3", "rights", *OWNERS, append("rules", rule("", "resourcequotas", "patch"))),
    Mutant("H3", "rights", *OWNERS, append("rules", rule("cilium.io", "ciliumnetworkpolicies", "create"))),
    Mutant("H3", "rights", *HELD_BY_OWNERS, at("roleRef/name", "view")),
    Mutant("H3", "rights", *HELD_BY_OWNERS, append("subjects", STRANGER), ("accounts", "own-names")),
    Mutant("H3", "rights", *HELD_BY_OWNERS, append("subjects", EVERYONE)),
    Mutant("H4", "escalation", *OWNERS, append("rules", rule("", "pods/exec", "create"))),
    Mutant("H4", "escalation", "Role", "tenon-system", "", append("rules", rule("", "secrets", "get"))),
    Mutant("H4", "escalation", *REVIEWER, append("rules", rule("", "users", "impersonate"))),
    Mutant("H4", "escalation", *REVIEWER, at("aggregationRule", {"clusterRoleSelectors": []})),
    Mutant("H5", "accounts", *EXECUTOR, append("rules", rule("argoproj.io", "workflows", "create"))),
    Mutant("H5", "accounts", "RoleBinding", TRAIN, "executor", append("subjects", {**STRANGER, "namespace": TRAIN})),
    Mutant("H5", "accounts", *ROLLOUT, at(f"{POD}/serviceAccountName", "deployer")),
    Mutant("H5", "accounts", *WORKFLOWS, in_manifest("serviceAccountName: trainer", "serviceAccountName: executor")),
]
QUOTAS = [
    Mutant("H6", "pod-security", "Namespace", None, SERVE, at(f"{SECURITY}enforce", "baseline")),
    Mutant("H6", "pod-security", "Namespace", None, SERVE, at(f"{SECURITY}warn-version", "latest")),
    Mutant("H9", "object-quotas", *QUOTA, at("spec/hard/services.nodeports", "1")),
    Mutant("H9", "object-quotas", *QUOTA, drop("spec/hard/count~secrets")),
    Mutant("H9", "object-quotas", "ResourceQuota", TRAIN, "", at("spec/hard/requests.nvidia.com~gpu", "2")),
    Mutant("H10", "compute-quotas", *QUOTA, drop("spec/hard/limits.memory")),
    Mutant("H10", "compute-quotas", *QUEUE, at("spec/namespaceSelector", {})),
    Mutant("H10", "compute-quotas", *QUEUE, at(f"{QUEUED}/2/nominalQuota", "99")),
    Mutant("H10", "compute-quotas", *QUOTA, at("spec/hard/requests.nvidia.com~gpu", "99")),
    Mutant("H10", "compute-quotas", *QUEUE, drop(f"{QUEUED}/0/borrowingLimit")),
    Mutant("H10", "compute-quotas", *ROLLOUT, at(f"{CONTAINER}/resources/requests/nvidia.com~gpu", "0")),
    Mutant("H11", "container-limits", "LimitRange", SERVE, "", drop("spec/limits/0/defaultRequest")),
    Mutant("H11", "container-limits", "LimitRange", TRAIN, "", drop("spec/limits/0/default")),
    Mutant("H11", "container-limits", "LimitRange", SERVE, "", at("spec/limits/0/max/nvidia.com~gpu", "5")),
    Mutant("H19", "volumes", *ROLLOUT, append(f"{POD}/volumes", {"name": "disk", "persistentVolumeClaim": {}})),
    Mutant("H19", "volumes", *WORKFLOWS, append("spec/volumeClaimTemplates", {}), ("workflows",)),
    Mutant("H19", "volumes", *ROLLOUT, drop(f"{POD}/volumes/0/emptyDir/sizeLimit")),
]
CREDENTIALS = [
    Mutant("H18", "secrets", "Secret", TRAIN, "executor", at("stringData", {"token": "x"})),
    Mutant("H18", "secrets", "Secret", TRAIN, "executor", at("type", "Opaque")),
    Mutant("H18", "secrets", "ExternalSecret", TRAIN, "bucket", at("spec/data/0/remoteRef/key", "platform/store")),
    Mutant("H18", "secrets", "ExternalSecret", TRAIN, "bucket", at("spec/dataFrom", [{"find": {}}])),
    Mutant("H18", "secrets", *ROLLOUT, append(f"{CONTAINER}/env", {"name": "DB_PASSWORD", "value": "x"})),
    Mutant("H18", "secrets", *ROLLOUT, append(f"{CONTAINER}/command", "v9fQ2mZx7LrT0bYc4NwKd8HsJ3gPq6Ae5RuVt1Xo")),
    Mutant("H20", "buckets", "Service", "storage", "tenon-acme", at("spec/selector", {"a": "b"}), ("selections",)),
    Mutant(
        "H20",
        "buckets",
        "Deployment",
        "storage",
        "s3-acme",
        at(f"{POD}/volumes/0/secret/secretName", "s3-models"),
        ("references",),
    ),
    Mutant("H20", "buckets", *WORKFLOWS, in_manifest("s3://tenon-acme", "s3://tenon-others")),
    Mutant("H20", "buckets", "ConfigMap", *MODELS, at("data/s3.json", WRITERS)),
    Mutant("H20", "buckets", "Deployment", *MODELS, at(f"{POD}/volumes/0/configMap/name", "others"), ("references",)),
]
ADMISSIONS = [
    Mutant("H21", "admission", ADMISSION, None, "tenon-pods", at("spec/failurePolicy", "Ignore")),
    Mutant("H21", "admission", ADMISSION, None, "tenon-workflows", at("metadata/name", "unbound")),
    Mutant("H21", "admission", ADMISSION, None, "tenon-rollouts", at("spec/matchConstraints/objectSelector/a", "b")),
    Mutant("H21", "admission", ADMISSION, None, "tenon-pods", at("spec/matchConstraints/resourceRules", [])),
    Mutant("H21", "admission", BINDING, None, "tenon-pods", at("spec/validationActions", ["Audit"])),
    Mutant(
        "H21",
        "admission",
        BINDING,
        None,
        "tenon-pods",
        at("spec/matchResources/namespaceSelector", {"matchLabels": {"tenon.dev/tenant": "acme"}}),
        ("offboarding",),
    ),
]
DELIVERY = [
    Mutant("H29", "delivery", *PROJECT, at("spec/destinations/0/namespace", "*")),
    Mutant("H29", "delivery", *PROJECT, at("spec/clusterResourceWhitelist", [{"group": "*", "kind": "*"}])),
    Mutant("H29", "delivery", *PROJECT, every_kind),
    Mutant("H29", "delivery", *PROJECT, at("spec/sourceRepos", ["*"])),
    Mutant("H29", "delivery", *PROJECT, at("spec/destinationServiceAccounts/0/defaultServiceAccount", "argocd:a")),
    *(
        Mutant("H29", "delivery", *PROJECT, append(PROMOTER, wider))
        for wider in (
            policy(what="exec", may="create"),
            policy(what="logs"),
            policy(may="sync"),
            policy(may="action/argoproj.io/Rollout/promote-full"),
            policy(may="action/argoproj.io/Rollout/restart"),
            policy(may="action/*"),
        )
    ),
    *(
        Mutant("H29", "delivery", *PROJECT, append(PROMOTER, strange), ("own-names",))
        for strange in (policy(on="globex"), policy(of="globex:promoter"))
    ),
    Mutant("H29", "delivery", *PROJECT, append("spec/roles/0/groups", "tenon:globex"), ("own-names",)),
    Mutant("H29", "delivery", *PROJECT, at("spec/roles/0/jwtTokens", [{"iat": 1}])),
    Mutant("H29", "delivery", *WORKLOADS, at("spec/project", "platform")),
    Mutant("H29", "delivery", *WORKLOADS, at("spec/source/path", "rendered/eu1/tenants")),
    Mutant("H29", "delivery", *FOUNDATION, at("spec/syncPolicy/managedNamespaceMetadata", {"labels": {}})),
    Mutant(
        "H29", "sync-options", *FOUNDATION, append("spec/syncPolicy/syncOptions", "ServerSideAply=true"), ("delivery",)
    ),
    Mutant("H29", "sync-options", *ROLLOUT, at("metadata/annotations/argocd.argoproj.io~sync-options", "Replace=true")),
    Mutant("H29", "sync-options", *ROLLOUT, at("metadata/annotations/argocd.argoproj.io~hook", "PreSync")),
]

OF_TENANTS = (*OWNERSHIP, *RIGHTS, *QUOTAS, *CREDENTIALS, *ADMISSIONS, *DELIVERY)
