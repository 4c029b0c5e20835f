"""Names that the platform's own pods may ask for: patterns only over their own namespaces, and over all buckets for the
two services that serve every tenant."""

from isolation.classes.profile import Profile
from isolation.classes.roles import BROKER, STORAGE, SYSTEM
from isolation.policies.names import NamePattern

CLUSTER_SUFFIX = "svc.cluster.local"
ASKS_OUTSIDE = frozenset({"ingest", "promoter", "webhooks"})  # issuers, the Git host, callbacks: exact hosts each

_BROKER = (f"*.{BROKER}.{CLUSTER_SUFFIX}", f"*.*.{BROKER}.{CLUSTER_SUFFIX}")
_STORE = (f"*.postgres.{CLUSTER_SUFFIX}",)
_FILER = (f"filer.{STORAGE}.{CLUSTER_SUFFIX}",)
_INGEST = (f"ingest.{SYSTEM}.{CLUSTER_SUFFIX}",)
_LISTS: dict[str, tuple[str, ...]] = {
    "broker": _BROKER,
    "broker-entities": _BROKER,
    "dispatcher": (*_BROKER, *_STORE),
    "filer": _FILER,
    "grafana": (f"prometheus.monitoring.{CLUSTER_SUFFIX}",),
    "ingest": (*_BROKER, *_STORE),
    "models-gateway": _FILER,
    "portal": _INGEST,
    "promoter": _STORE,
    "router": (*_INGEST, f"*.*-serve.{CLUSTER_SUFFIX}"),
    "watcher": _STORE,
    "webhooks": _STORE,
}


def may_platform_list(profile: Profile, role: str, entry: NamePattern) -> bool:
    """Whether a name list of this role of the platform may hold the entry, written like that."""
    return entry.text in needed_entries(profile, role)


def needed_entries(profile: Profile, role: str) -> tuple[str, ...]:
    """The names and patterns that this role of the platform must be answered; none for one that the mode leaves out."""
    if profile.storage_mode != "inCluster" and role in {"filer", "models-gateway"}:
        return ()
    return (*_LISTS.get(role, ()), *_by_options(profile, role))


def mesh_control_names(profile: Profile) -> tuple[str, ...]:
    """Names by which sidecars find the mesh's control plane; none without a mesh."""
    if profile.mesh is None:
        return ()
    namespace, account = profile.mesh.control
    return (f"{account}.{namespace}.svc", f"{account}.{namespace}.{CLUSTER_SUFFIX}")


def _by_options(profile: Profile, role: str) -> tuple[str, ...]:
    found = mesh_control_names(profile) if role in {"router", "mesh-gateway"} else ()
    if role in {"ingest", "promoter"}:
        buckets = f"{profile.bucket_prefix}-*"
        if profile.storage_mode == "s3":
            host = f"{buckets}.s3.{profile.region}.amazonaws.com"
            return (*found, host, f"sts.{profile.region}.amazonaws.com")
        return (*found, f"{buckets}.{STORAGE}.{CLUSTER_SUFFIX}")
    return found
