"""Host names that pods ask for. DNS rules, toFQDNs, serverNames and the environment of pods all read this one list."""

from app.contract.internal import STATUS_PATH, STATUS_PORT
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.naming import STORAGE_NAMESPACE, SYSTEM_NAMESPACE, bucket, models_bucket

S3_PORT = 8333  # of an in-cluster gateway; SeaweedFS' own default


def service(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc.cluster.local"


WATCHER = service("watcher", SYSTEM_NAMESPACE)
FILER = service("filer", STORAGE_NAMESPACE)
STATUS_URL = f"http://{WATCHER}:{STATUS_PORT}{STATUS_PATH}"


def bucket_host(name: str, platform: Platform) -> str:
    """Host of one bucket. On AWS virtual-hosted, since path-style shares one name among all buckets."""
    if platform.storage.mode == "s3":
        return f"{name}.s3.{platform.storage.region}.amazonaws.com"
    return service(name, STORAGE_NAMESPACE)


def own_bucket(tenant: Tenant, platform: Platform) -> str:
    return bucket_host(bucket(platform.storage.bucket_prefix, tenant.id), platform)


def base_models(platform: Platform) -> str:
    """Host of the one bucket that tenants share, read only."""
    return bucket_host(models_bucket(platform.storage.bucket_prefix), platform)


def credentials(platform: Platform) -> tuple[str, ...]:
    """Where AWS credentials come from; none in the cluster's own store."""
    return (f"sts.{platform.storage.region}.amazonaws.com",) if platform.storage.mode == "s3" else ()


def storage_names(tenant: Tenant, platform: Platform) -> tuple[str, ...]:
    """All names that a pod of the tenant needs for objects."""
    return (own_bucket(tenant, platform), base_models(platform), *credentials(platform))


def endpoint(host: str) -> str:
    """URL of an in-cluster gateway."""
    return f"http://{host}:{S3_PORT}"
