"""Versions and API groups of everything rendered. One place to read, one place to bump; images are in images.lock."""

KUBERNETES = "1.36"
POD_SECURITY = "v1.36"

NETWORKING = "networking.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
RESOURCE = "resource.k8s.io/v1"  # device claims
RBAC = "rbac.authorization.k8s.io/v1"
CILIUM = "cilium.io/v2"
KUEUE = "kueue.x-k8s.io/v1beta2"
JOBSET = "jobset.x-k8s.io/v1alpha2"
TRAINER = "trainer.kubeflow.org/v1alpha1"
RAY = "ray.io/v1"
RAY_RELEASE = "2.58.0"  # in the image `trainerray`: requirements/trainer-ray.txt
RAY_SERVE_RELEASE = "2.58.0"  # in the image `ray` of images.lock; 2.52 is the first that asks for a token
EXTERNAL_SECRETS = "external-secrets.io/v1"
ARGO = "argoproj.io/v1alpha1"
GATEWAY = "gateway.networking.k8s.io/v1"
ISTIO_FILTERS = "networking.istio.io/v1alpha3"  # EnvoyFilter has no other
ISTIO_NETWORKING = "networking.istio.io/v1"
ISTIO_SECURITY = "security.istio.io/v1"
AUTOSCALING = "autoscaling/v2"
DISRUPTION = "policy/v1"
KEDA = "keda.sh/v1alpha1"
MONITORING = "monitoring.coreos.com/v1"
NODE_FEATURES = "nfd.k8s-sigs.io/v1alpha1"
SCHEDULING = "scheduling.k8s.io/v1"
STRIMZI = "kafka.strimzi.io/v1"
KAFKA_RELEASE = "4.3.1"  # the newest that Strimzi 1.2 runs

# Releases of what runs on the cluster: manifests are validated against the CRDs of exactly these.
KUBERNETES_RELEASE = "1.36.3"
ARGO_CD_RELEASE = "3.5.7"
ARGO_ROLLOUTS_RELEASE = "1.10.1"
ARGO_WORKFLOWS_RELEASE = "4.1.4"
CILIUM_RELEASE = "1.20.2"
EXTERNAL_SECRETS_RELEASE = "1.3.2"
GATEWAY_API_RELEASE = "1.6.3"
ISTIO_API_RELEASE = "1.31.1"
JOBSET_RELEASE = "0.12.0"
KEDA_RELEASE = "2.21.0"
KUBERAY_RELEASE = "1.6.2"
KUEUE_RELEASE = "0.19.2"
NODE_FEATURE_DISCOVERY_RELEASE = "0.18.3"
PROMETHEUS_OPERATOR_RELEASE = "0.92.0"
STRIMZI_RELEASE = "1.2.0"
TRAINER_RELEASE = "2.3.0"
