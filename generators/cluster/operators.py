"""Values of the charts of operators that need little said: what they may see and do is made smaller than the default.

Left out everywhere is what extends the built-in roles `view`, `edit` and `admin`: nobody is bound to those here, and
whoever is one day would have rights that no file of this tree shows.
"""

from typing import Any

from generators import naming, restricted, versions

_SECCOMP = {"type": "RuntimeDefault"}


def external_secrets() -> dict[str, Any]:
    """Chart `external-secrets`: ExternalSecrets and stores; no kind that writes secrets out or into every namespace."""
    image = {"tag": f"v{versions.EXTERNAL_SECRETS_RELEASE}"}
    unused = ("ClusterExternalSecret", "ClusterGenerator", "ClusterPushSecret", "PushSecret")
    return {
        "image": image,
        "webhook": {"image": image},
        "certController": {"image": image},
        "crds": {f"create{kind}": False for kind in unused},
        **{f"process{kind}": False for kind in unused},
        "rbac": {"aggregateToView": False, "aggregateToEdit": False},
    }


def strimzi() -> dict[str, Any]:
    """Chart `strimzi-kafka-operator`: one namespace, whose pods have to pass `restricted`."""
    return {
        "watchNamespaces": [naming.BROKER_NAMESPACE],
        "extraEnvs": [{"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"}],
        "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": _SECCOMP},
        "securityContext": dict(restricted.CONTAINER_SECURITY),
    }


def keda() -> dict[str, Any]:
    """Chart `keda`: it asks Prometheus without credentials, and so reads no Secret but its own."""
    restricted_to_own = {"restrict": {"secret": True}}
    return {"permissions": {"operator": restricted_to_own, "metricServer": restricted_to_own}}


def trainer() -> dict[str, Any]:
    """Chart `kubeflow-trainer`: JobSet is an add-on of its own, runtimes are the tenants'."""
    return {"jobset": {"install": False}, "runtimes": {"defaultEnabled": False}}


def unchanged() -> dict[str, Any]:
    """Of charts whose defaults are right: jobset, kuberay-operator, Istio's base and cni."""
    return {}
