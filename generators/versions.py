"""Versions and API groups of everything rendered. One place to read, one place to bump; images are in images.lock."""

KUBERNETES = "1.36"
POD_SECURITY = "v1.36"

NETWORKING = "networking.k8s.io/v1"
RESOURCE = "resource.k8s.io/v1"  # device claims
RBAC = "rbac.authorization.k8s.io/v1"
CILIUM = "cilium.io/v2"
KUEUE = "kueue.x-k8s.io/v1beta2"
JOBSET = "jobset.x-k8s.io/v1alpha2"
TRAINER = "trainer.kubeflow.org/v1alpha1"
RAY = "ray.io/v1"
RAY_RELEASE = "2.49.0"  # in the trainer image
EXTERNAL_SECRETS = "external-secrets.io/v1"
ARGO = "argoproj.io/v1alpha1"
GATEWAY = "gateway.networking.k8s.io/v1"
MONITORING = "monitoring.coreos.com/v1"
SCHEDULING = "scheduling.k8s.io/v1"
STRIMZI = "kafka.strimzi.io/v1"
KAFKA_RELEASE = "4.3.1"  # the newest that Strimzi 1.2 runs
