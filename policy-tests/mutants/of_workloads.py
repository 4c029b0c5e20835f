"""Pods, where they run, how they are reached, workflows and roll-outs."""

from mutants.mutant import Mutant, append, at, drop, in_manifest, template

TRAIN, SERVE = "acme-train", "acme-serve"
POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"
WORKFLOWS = ("WorkflowTemplate", TRAIN, "finetune-")
ROLLOUT = ("Rollout", SERVE, "replies")
RUNTIME = ("TrainingRuntime", "globex-train", "finetune-")
OF_RUNTIME = "spec/template/spec/replicatedJobs/0/template/spec/template/spec"
STABLE = ("Service", SERVE, "replies-stable")
ROUTE = ("HTTPRoute", SERVE, "replies")
ANALYSIS = ("AnalysisTemplate", SERVE, "replies")
PROMETHEUS = "spec/metrics/0/provider/prometheus"
CANARY = "spec/strategy/canary"
OPERATOR, VALUES = ("Application", "argocd", "addon-gpu-operator"), "spec/source/helm/valuesObject"
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists"}
UNNAMED = {"name": "X", "value": "{{inputs.parameters.x}}"}
ANYWHERE = {"type": "ExternalName", "externalName": "x.example"}

PODS = [
    Mutant("H7", "restricted", *ROLLOUT, at(f"{CONTAINER}/securityContext/privileged", value=True)),
    Mutant("H7", "restricted", *ROLLOUT, drop(f"{POD}/securityContext/runAsNonRoot")),
    Mutant("H7", "restricted", *ROLLOUT, append(f"{POD}/volumes", {"name": "node", "hostPath": {"path": "/"}})),
    Mutant("H7", "restricted", *ROLLOUT, append(f"{POD}/initContainers", {"name": "x"}), ("compute-quotas",)),
    Mutant(
        "H7", "restricted", *WORKFLOWS, in_manifest("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    ),
    Mutant("H7", "restricted", *WORKFLOWS, drop("spec/securityContext/seccompProfile")),
    Mutant(
        "H7",
        "restricted",
        *WORKFLOWS,
        template("prepare", at("container/securityContext/capabilities/add", ["SYS_ADMIN"])),
    ),
    Mutant("H7", "restricted", "Deployment", "tenon-system", "ingest", at(f"{POD}/hostPID", value=True)),
    Mutant("H7", "restricted", *RUNTIME, at(f"{OF_RUNTIME}/securityContext", {})),
    Mutant("H8", "tokens", "ServiceAccount", SERVE, "default", at("automountServiceAccountToken", value=True)),
    Mutant("H8", "tokens", *ROLLOUT, drop(f"{POD}/automountServiceAccountToken")),
    Mutant("H8", "tokens", *WORKFLOWS, in_manifest("audience: finetune-status", "audience: ''")),
    Mutant("H17", "images", *ROLLOUT, at(f"{CONTAINER}/image", "registry.tenon.example/upstream/vllm-openai:latest")),
    Mutant("H17", "images", *ROLLOUT, at(f"{CONTAINER}/image", "docker.example/x/y@sha256:" + "1" * 64)),
    Mutant("H17", "images", *WORKFLOWS, in_manifest("registry.tenon.example/", "elsewhere.example/")),
    Mutant("H22", "gpu-environment", *ROLLOUT, append(f"{CONTAINER}/env", {"name": "NVIDIA_VISIBLE_DEVICES"})),
    Mutant("H22", "gpu-environment", *WORKFLOWS, in_manifest("name: TENON_JOB", "name: NVIDIA_DRIVER_CAPABILITIES")),
    Mutant("H22", "gpu-environment", *OPERATOR, at(f"{VALUES}/toolkit/env/0/value", "true")),
]
PLACEMENT = [
    Mutant("H23", "gpu-sharing", *OPERATOR, at(f"{VALUES}/devicePlugin/config/data/whole", '{"sharing": {}}')),
    Mutant(
        "H23",
        "gpu-sharing",
        *ROLLOUT,
        at(f"{CONTAINER}/resources/limits/nvidia.com~gpu.shared", "1"),
        ("compute-quotas", "peaks"),
    ),
    Mutant("H24", "nodes", *ROLLOUT, append(f"{POD}/tolerations", {"operator": "Exists"})),
    Mutant("H24", "nodes", *ROLLOUT, at(f"{POD}/nodeName", "gpu-1")),
    Mutant("H24", "nodes", *WORKFLOWS, append("spec/tolerations", GPU_TAINT)),
    Mutant("H25", "runtime-classes", *ROLLOUT, at(f"{POD}/runtimeClassName", "runc-privileged")),
    Mutant("H26", "priorities", *ROLLOUT, at(f"{POD}/priorityClassName", "system-node-critical")),
    Mutant("H26", "priorities", "PriorityClass", None, "tenon-serving", at("globalDefault", value=True)),
]
DOORS = [
    Mutant("H15", "services", *STABLE, at("spec/type", "NodePort")),
    Mutant("H15", "services", "Service", "storage", "tenon-acme", at("spec", ANYWHERE), ("buckets",)),
    Mutant("H15", "services", *STABLE, drop("spec/selector")),
    Mutant("H15", "ports", *STABLE, at("spec/ports/0/port", 99999)),
    Mutant("H16", "hosts", *ROUTE, at("spec/hostnames/0", "a.globex.models.tenon.example"), ("own-names",)),
    Mutant("H16", "hosts", *ROUTE, at("spec/hostnames/0", "replies.acme.elsewhere.example")),
    Mutant("H16", "hosts", *ROUTE, drop("spec/hostnames")),
    Mutant("H16", "hosts", *ROUTE, at("spec/parentRefs/0/name", "another")),
    Mutant("H16", "hosts", *ROUTE, at("spec/rules/0/backendRefs/0/namespace", "tenon-system")),
    Mutant("H16", "hosts", "Gateway", "gateway", "", at("spec/listeners/0/allowedRoutes/namespaces", {"from": "All"})),
]
WORKFLOW = [
    Mutant("H27", "workflows", *WORKFLOWS, at("spec/entrypoint", "nowhere")),
    Mutant("H27", "workflows", *WORKFLOWS, at("spec/podSpecPatch", "{}")),
    Mutant("H27", "workflows", *WORKFLOWS, drop("spec/activeDeadlineSeconds")),
    Mutant("H27", "workflows", *WORKFLOWS, at("metadata/name", "finetune-latest"), ("references",)),
    Mutant("H27", "workflows", *WORKFLOWS, template("prepare", drop("retryStrategy/limit"))),
    Mutant("H27", "workflows", *WORKFLOWS, template("pipeline", at("dag/tasks/0/dependencies", ["publish"]))),
    Mutant("H27", "workflows", *WORKFLOWS, template("pipeline", at("dag/tasks/0/template", "nowhere"))),
    Mutant("H27", "workflows", *WORKFLOWS, template("prepare", append("container/env", UNNAMED))),
    Mutant("H27", "workflows", *WORKFLOWS, in_manifest("kueue.x-k8s.io/queue-name", "queue")),
    Mutant("H27", "workflows", *WORKFLOWS, in_manifest("restartPolicy: Never", "restartPolicy: OnFailure")),
    Mutant("H27", "workflows", *WORKFLOWS, template("train", at("resource/action", "apply"))),
    Mutant("H27", "workflows", *WORKFLOWS, template("delete", at("resource/flags/1", "--all"))),
    Mutant("H27", "workflows", *WORKFLOWS, in_manifest("tenon.dev/workflow", "tenon.dev/made-by")),
    Mutant("H27", "workflows", *WORKFLOWS, drop("spec/onExit")),
    Mutant("H27", "workflows", *WORKFLOWS, template("pipeline", at("dag/tasks/0/onExit", "release"))),
]
ROLLOUTS = [
    Mutant("H28", "rollouts", *ROLLOUT, at(f"{CANARY}/trafficRouting/plugins/argoproj-labs~gatewayAPI/namespace", "x")),
    Mutant("H28", "rollouts", *ROLLOUT, at(f"{CANARY}/steps/0/setWeight", 500), ("peaks",)),
    Mutant("H28", "rollouts", *ROLLOUT, at("spec/selector/matchLabels", {"app": "another"})),
    Mutant("H28", "rollouts", *ROLLOUT, at(f"{CANARY}/stableService", "nowhere")),
    Mutant("H28", "rollouts", *ROLLOUT, at(f"{CANARY}/analysis/templates/0/templateName", "nowhere")),
    Mutant("H28", "rollouts", *ROLLOUT, at("spec/workloadRef", {"kind": "Deployment", "name": "x"})),
    Mutant("H28", "analyses", *ANALYSIS, at("spec/metrics/0/provider", {"job": {}})),
    Mutant("H28", "analyses", *ANALYSIS, at(f"{PROMETHEUS}/address", "http://169.254.169.254")),
    Mutant("H28", "analyses", *ANALYSIS, at(f"{PROMETHEUS}/query", "up")),
    Mutant("H28", "peaks", *ROLLOUT, at("spec/replicas", 9)),
    Mutant("H28", "peaks", "Rollout", "globex-serve", "extract", drop(f"{CANARY}/dynamicStableScale")),
]
REFERENCES = [
    Mutant("", "references", "ExternalSecret", SERVE, "bucket", at("spec/target/name", "renamed")),
    Mutant("", "references", "ResourceFlavor", None, "t4", at("metadata/name", "renamed")),
    Mutant("", "references", "ServiceAccount", SERVE, "model", at("metadata/name", "renamed")),
    Mutant("", "references", *WORKFLOWS, in_manifest("queue-name: default", "queue-name: nowhere")),
    Mutant("", "references", *RUNTIME, at("metadata/name", "renamed")),
    Mutant("", "selections", *STABLE, at("spec/selector", {"app.kubernetes.io/name": "nothing"})),
    Mutant("", "selections", "PodDisruptionBudget", SERVE, "", at("spec/selector/matchLabels", {"app": "nothing"})),
]

OF_WORKLOADS = (*PODS, *PLACEMENT, *DOORS, *WORKFLOW, *ROLLOUTS, *REFERENCES)
