"""The kinds that a rendered tree may hold, and where. What is not here waits for a review of these lists.

A kind that nobody listed may go around everything that is judged: a second network interface, a webhook that rewrites
pods, an API that another controller serves.
"""

_FOUNDATION, _WORKLOADS, _DELIVERY, _GROUND = ({"foundation"}, {"workloads"}, {"delivery"}, {"ground"})
_BOTH = _FOUNDATION | _WORKLOADS
_GROUND_TOO = _FOUNDATION | _GROUND

# group/kind -> the parts of a tenant's folder that may hold it
OF_TENANTS: dict[str, set[str]] = {
    "/ConfigMap": _BOTH,
    "/LimitRange": _FOUNDATION,
    "/Namespace": _FOUNDATION,
    "/ResourceQuota": _FOUNDATION,
    "/Secret": _FOUNDATION,
    "/Service": _BOTH,
    "/ServiceAccount": _FOUNDATION,
    "apps/Deployment": _FOUNDATION,  # the gateway of an in-cluster store
    "argoproj.io/AnalysisTemplate": _WORKLOADS,
    "argoproj.io/AppProject": _DELIVERY,
    "argoproj.io/Application": _DELIVERY,
    "argoproj.io/CronWorkflow": _WORKLOADS,
    "argoproj.io/Experiment": _WORKLOADS,
    "argoproj.io/Rollout": _WORKLOADS,
    "argoproj.io/WorkflowTemplate": _WORKLOADS,
    "autoscaling/HorizontalPodAutoscaler": _WORKLOADS,
    "cilium.io/CiliumNetworkPolicy": _FOUNDATION,
    "external-secrets.io/ExternalSecret": _FOUNDATION,
    "gateway.networking.k8s.io/HTTPRoute": _WORKLOADS,
    "keda.sh/ScaledObject": _WORKLOADS,
    "kueue.x-k8s.io/ClusterQueue": _FOUNDATION,
    "kueue.x-k8s.io/LocalQueue": _FOUNDATION,
    "monitoring.coreos.com/PodMonitor": _BOTH,
    "monitoring.coreos.com/PrometheusRule": _BOTH,
    "networking.istio.io/DestinationRule": _WORKLOADS,
    "networking.istio.io/EnvoyFilter": _FOUNDATION,
    "networking.istio.io/VirtualService": _WORKLOADS,
    "networking.k8s.io/NetworkPolicy": _FOUNDATION,
    "policy/PodDisruptionBudget": _BOTH,
    "ray.io/RayService": _WORKLOADS,
    "rbac.authorization.k8s.io/Role": _FOUNDATION,
    "rbac.authorization.k8s.io/RoleBinding": _FOUNDATION,
    "resource.k8s.io/ResourceClaimTemplate": _FOUNDATION,
    "security.istio.io/AuthorizationPolicy": _FOUNDATION,
    "security.istio.io/PeerAuthentication": _FOUNDATION,
    "trainer.kubeflow.org/TrainingRuntime": _FOUNDATION,
}
# group/kind -> the parts of the platform's folder that may hold it
OF_PLATFORM: dict[str, set[str]] = {
    "/ConfigMap": _GROUND_TOO,
    "/Namespace": _GROUND,
    "/Service": _FOUNDATION,
    "/ServiceAccount": _GROUND_TOO,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy": _FOUNDATION,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": _FOUNDATION,
    "apps/Deployment": _FOUNDATION,
    "apps/StatefulSet": _FOUNDATION,
    "argoproj.io/AppProject": _DELIVERY,
    "argoproj.io/Application": _DELIVERY,
    "cilium.io/CiliumClusterwideNetworkPolicy": _FOUNDATION,
    "cilium.io/CiliumNetworkPolicy": _FOUNDATION,
    "external-secrets.io/ExternalSecret": _FOUNDATION,
    "gateway.networking.k8s.io/Gateway": _FOUNDATION,
    "gateway.networking.k8s.io/HTTPRoute": _FOUNDATION,
    "kafka.strimzi.io/Kafka": _FOUNDATION,
    "kafka.strimzi.io/KafkaNodePool": _FOUNDATION,
    "kafka.strimzi.io/KafkaTopic": _FOUNDATION,
    "kafka.strimzi.io/KafkaUser": _FOUNDATION,
    "kueue.x-k8s.io/Cohort": _FOUNDATION,
    "kueue.x-k8s.io/ResourceFlavor": _FOUNDATION,
    "kueue.x-k8s.io/WorkloadPriorityClass": _FOUNDATION,
    "monitoring.coreos.com/PodMonitor": _FOUNDATION,
    "monitoring.coreos.com/PrometheusRule": _FOUNDATION,
    "networking.istio.io/Gateway": _FOUNDATION,
    "networking.istio.io/VirtualService": _FOUNDATION,
    "networking.k8s.io/NetworkPolicy": _FOUNDATION,
    "nfd.k8s-sigs.io/NodeFeatureRule": _FOUNDATION,
    "policy/PodDisruptionBudget": _FOUNDATION,
    "rbac.authorization.k8s.io/ClusterRole": _FOUNDATION,
    "rbac.authorization.k8s.io/ClusterRoleBinding": _FOUNDATION,
    "rbac.authorization.k8s.io/Role": _FOUNDATION,
    "rbac.authorization.k8s.io/RoleBinding": _FOUNDATION,
    "resource.k8s.io/DeviceClass": _FOUNDATION,
    "scheduling.k8s.io/PriorityClass": _FOUNDATION,
}
OF_CLUSTER = frozenset(
    {
        "CiliumClusterwideNetworkPolicy",
        "ClusterQueue",
        "ClusterRole",
        "ClusterRoleBinding",
        "Cohort",
        "DeviceClass",
        "Namespace",
        "NodeFeatureRule",
        "PriorityClass",
        "ResourceFlavor",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "WorkloadPriorityClass",
    }
)
IN_WORKFLOWS = frozenset({"JobSet", "TrainJob", "RayJob"})  # what a `resource` template may make
