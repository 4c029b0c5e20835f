"""Hosts outside: what a tenant may name as egress or callback is no place where the cluster or another tenant is."""

from urllib.parse import urlsplit

from generators.inputs.platform import Platform
from generators.inputs.reading import Document
from generators.inputs.tenant import Tenant

CLUSTER_DOMAIN = "cluster.local"
METADATA = ("internal",)  # cloud metadata services and private zones

# Zones that public DNS does not hold (RFC 6761, 6762, 8375, ICANN's reserved names), and public ones whose names spell
# any address. The webhook sender looks at the address again when it dials.
PRIVATE_ZONES = ("local", "localhost", "localdomain", "home.arpa", "lan", "home", "corp", "mail", "intranet", "private")
SPELLED_ADDRESSES = ("nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me")

# Object stores by suffix; with a prefix, some label of the host must begin so (other services share the suffix).
STORES = (
    ("amazonaws.com", "s3"),  # s3.eu1…, bucket.s3.dualstack…, s3-accesspoint…, interface endpoints
    ("amazonaws.com.cn", "s3"),
    ("api.aws", "s3"),
    ("on.aws", "s3"),
    ("storage.googleapis.com", ""),
    ("commondatastorage.googleapis.com", ""),
    ("storage.cloud.google.com", ""),
    ("www.googleapis.com", ""),  # /storage/v1
    ("rep.googleapis.com", "storage"),
    ("p.googleapis.com", "storage"),
    ("firebasestorage.googleapis.com", ""),
    ("firebasestorage.app", ""),
    ("core.windows.net", ""),  # blob, dfs, file, queue, table and their private links
    ("core.usgovcloudapi.net", ""),
    ("core.chinacloudapi.cn", ""),
    ("storage.azure.net", ""),
    ("r2.cloudflarestorage.com", ""),
    ("r2.dev", ""),
    ("digitaloceanspaces.com", ""),
    ("backblazeb2.com", ""),
    ("wasabisys.com", ""),
    ("linodeobjects.com", ""),
    ("your-objectstorage.com", ""),
    ("scw.cloud", "s3"),
    ("cloud.ovh.net", "s3"),
    ("oraclecloud.com", "objectstorage"),
    ("appdomain.cloud", "s3"),
    ("aliyuncs.com", "oss"),
    ("myqcloud.com", "cos"),
    ("vultrobjects.com", ""),
    ("fly.storage.tigris.dev", ""),
    ("t3.storage.dev", ""),
    ("storjshare.io", ""),
    ("exo.io", "sos"),
    ("dreamhost.com", "objects"),
    ("dream.io", ""),
)


def refuse_hosts(tenant: Tenant, document: Document, platform: Platform) -> None:
    """Outside hosts are outside: a name of the cluster, the platform or an object store would open another tenant."""
    for key, hosts in (("egress", tenant.egress), ("callbacks", tenant.callbacks)):
        for index, host in enumerate(hosts):
            if host in hosts[:index]:
                document.refuse((key, index), f"{host!r} stands twice; keep one")
            elif reason := _inside(host, platform) or (_private(host) if key == "callbacks" else None):
                document.refuse((key, index), f"{host!r} {reason}; name a host outside")


def is_object_store(host: str) -> bool:
    """Whether buckets of anyone are behind the name."""
    labels = host.split(".")
    return any(
        is_below(host, suffix) and any(label.startswith(prefix) for label in labels) for suffix, prefix in STORES
    )


def is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _inside(host: str, platform: Platform) -> str | None:
    for domain in (CLUSTER_DOMAIN, *platform.dns.search_domains):
        if is_below(host, domain):
            return f"is a name of the cluster ({domain})"
    if is_below(host, platform.domain):
        return f"is a name of the platform ({platform.domain})"
    if own := _own_hosts(platform).get(host):
        return f"is {own}, which no job speaks to"
    if any(is_below(host, zone) for zone in METADATA):
        return "is a name of a cloud's metadata service or private zone"
    if is_object_store(host):
        return "is an object store, where other tenants' buckets are; jobs reach their own bucket without it"
    return None


def _own_hosts(platform: Platform) -> dict[str, str]:
    """Hosts that the platform itself asks, under credentials of its own, and what each is."""
    git = urlsplit(platform.repository).hostname
    return {
        **({git: "where platform.yaml has its repository"} if git else {}),
        **{
            str(urlsplit(issuer).hostname): "an issuer of platform.yaml oidcIssuers" for issuer in platform.oidc_issuers
        },
        **{
            registry.partition("/")[0].partition(":")[0]: "a registry of platform.yaml trustedRegistries"
            for registry in platform.trusted_registries
        },
    }


def _private(host: str) -> str | None:
    """A callback is a request of ours; to a private address it would speak for the platform inside the network."""
    for zone in (*PRIVATE_ZONES, *SPELLED_ADDRESSES):
        if is_below(host, zone):
            return f"has a private address ({zone})"
    return None
