"""What a pod of a tenant may ask for beyond Pod Security `restricted`: account, image, node, GPU and size."""

import re

from generators.cluster.admission.policy import PLANE, AdmissionPolicy, Resources, Rule, among
from generators.inputs.platform import Platform
from generators.naming import EXECUTOR, MODEL, SERVING_PRIORITY, STEP, TRAINER

GPU_RUNTIME = "nvidia"  # RuntimeClass that the GPU operator makes
GPU_TAINT = "nvidia.com/gpu"
NODE_CONDITIONS = "node.kubernetes.io/"  # taints of the node controller, which the API server lets every pod tolerate

_CHANGED = "request.operation == 'CREATE' || object.spec != oldObject.spec"


def pods(platform: Platform) -> AdmissionPolicy:
    """Every pod of a tenant, whatever made it."""
    return AdmissionPolicy(
        name="tenon-pods",
        resources=[Resources("", ("pods", "pods/ephemeralcontainers"))],
        conditions={"spec-changed": _CHANGED},  # a finalizer is taken off whatever the pod asks for
        variables={"containers": "object.spec.containers + object.spec.?initContainers.orValue([])"},
        rules=[*_identity(), *_placement(), *_containers(platform)],
    )


def _identity() -> list[Rule]:
    of_training = f"^({EXECUTOR}|{STEP}|{TRAINER}(-[0-9]{{1,2}})?)$"
    return [
        Rule(
            f"{PLANE} == 'train' ? object.spec.serviceAccountName.matches('{of_training}') : "
            f"object.spec.serviceAccountName == '{MODEL}'",
            f"a pod runs as {EXECUTOR}, {STEP} or {TRAINER} in -train and as {MODEL} in -serve; name one of them",
        ),
        Rule(
            "!has(object.spec.ephemeralContainers)",
            "no container is added to a running pod of a tenant; read its log",
        ),
    ]


def _placement() -> list[Rule]:
    return [
        Rule(
            f"object.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') == '{GPU_TAINT}' || "
            f"t.?key.orValue('').startsWith('{NODE_CONDITIONS}'))",
            f"a toleration names its taint, and that is {GPU_TAINT} or one of {NODE_CONDITIONS}; remove the others",
        ),
        Rule(
            "request.operation != 'CREATE' || !has(object.spec.nodeName)",
            "the scheduler chooses the node: a node named here would skip its taints; remove nodeName",
        ),
        Rule(
            f"object.spec.?runtimeClassName.orValue('{GPU_RUNTIME}') in {among([GPU_RUNTIME])}",
            f"the runtime class is {GPU_RUNTIME} or none",
        ),
        Rule(
            f"object.spec.?priorityClassName.orValue('') in {among(['', SERVING_PRIORITY])}",
            f"the priority class is {SERVING_PRIORITY} or none",
        ),
    ]


def _containers(platform: Platform) -> list[Rule]:
    registries = "|".join(re.escape(registry.rstrip("/")) for registry in platform.trusted_registries)
    image = f"^({registries})/[^@]+@sha256:[0-9a-f]{{64}}$"
    return [
        Rule(
            "variables.containers.all(c, !has(c.envFrom) && c.?env.orValue([]).all(e, !e.name.startsWith('NVIDIA_')))",
            "NVIDIA_ variables would reach GPUs that the pod was not given, and envFrom hides them; "
            "ask for GPUs by resources and name each variable",
        ),
        Rule(
            "variables.containers.all(c, ['cpu', 'memory'].all(r, "
            "quantity(c.?resources.?requests[?r].orValue('0')).isGreaterThan(quantity('0'))))",
            "every container requests cores and memory: what requests nothing is counted by no queue and no quota",
        ),
        Rule(
            f"variables.containers.all(c, c.image.matches(r'{image}'))",
            f"images come by digest from {', '.join(platform.trusted_registries)}",
        ),
    ]


def resize() -> AdmissionPolicy:
    """A running pod may get more memory, and nothing else (training.resize); the LimitRange bounds it."""
    memory = (
        "quantity(c.?resources.?{0}.?memory.orValue('0')).compareTo(quantity(o.?resources.?{0}.?memory.orValue('0')))"
    )
    others = (
        "(c.?resources.?{0}.orValue({{}}).map(k, k) + o.?resources.?{0}.orValue({{}}).map(k, k))"
        ".all(k, k == 'memory' || c.resources.?{0}[?k] == o.resources.?{0}[?k])"
    )
    grows = " && ".join(f"{memory.format(side)} >= 0 && {others.format(side)}" for side in ("requests", "limits"))
    return AdmissionPolicy(
        name="tenon-pod-resize",
        resources=[Resources("", ("pods/resize",), ("UPDATE",))],
        rules=[
            Rule(
                f"object.spec.containers.all(c, oldObject.spec.containers.exists(o, o.name == c.name && {grows}))",
                "a running pod's memory may be raised; cores, GPUs and less memory need a new attempt",
            ),
            Rule(
                "object.spec.?initContainers == oldObject.spec.?initContainers",
                "memory of a pod's main containers may be raised, not that of its init containers",
            ),
        ],
    )
