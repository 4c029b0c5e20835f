"""What the judge must know of a cluster beyond its policies, and the settings of Cilium that this rests on."""

from typing import Any

from generators import mesh, naming
from generators.inputs.platform import Platform
from generators.policies import ACCOUNT, NAMESPACE, PLANE

# Allow-list: identities are made of these keys alone, so no label of a pod's author is part of one, and job labels
# cannot make an identity per job. Patterns are regular expressions on `source:key`.
TRUSTED_LABELS = tuple(
    key.replace(".", r"\.") for key in (NAMESPACE, ACCOUNT, "k8s:io.cilium.k8s.policy.cluster", PLANE)
)


# Istio's plugin stands behind Cilium's in the chain, and pods' connections must not skip the sidecar.
_BESIDE_A_MESH = {"cni": {"exclusive": False}, "socketLB": {"hostNamespaceOnly": True}}


def cluster_profile(platform: Platform) -> dict[str, Any]:
    """Facts that no policy can express."""
    storage, dns, server = platform.storage, platform.dns, platform.api_server
    return {
        "ciliumVersion": platform.cilium_version,
        "dns": {
            "mode": dns.mode,
            "namespace": dns.namespace,
            "account": dns.account,
            "searchDomains": list(dns.search_domains),
        },
        "storage": {
            "mode": storage.mode,
            "bucketPrefix": storage.bucket_prefix,
            **({"region": storage.region} if storage.region else {}),
            "sharedAddresses": storage.mode == "s3",  # all of AWS's buckets answer at the same addresses
        },
        "nodeRanges": list(platform.node_ranges),
        "privateAddresses": list(platform.private_addresses),
        "apiServer": {"port": server.port, "addresses": list(server.addresses)},
        "gpuCapacity": {name: flavor.capacity for name, flavor in sorted(platform.gpu_flavors.items())},
        "labelFilter": list(TRUSTED_LABELS),
        "planeLabel": naming.PLANE_LABEL,
        "ipFamilies": ["IPv4"],
        **({"mesh": mesh.profile(platform)} if mesh.is_used(platform) else {}),
    }


def cilium_values(platform: Platform) -> dict[str, Any]:
    """Values of Cilium's chart that the proof relies on; the installation reads them from here."""
    return {
        "labels": " ".join(TRUSTED_LABELS),
        "policyEnforcementMode": "default",
        "ipv4": {"enabled": True},
        "ipv6": {"enabled": False},
        "l7Proxy": True,
        "envoy": {"enabled": True},  # decides TLS server names
        "kubeProxyReplacement": True,
        "gatewayAPI": {"enabled": platform.traffic_router == "gatewayApi"},
        **(_BESIDE_A_MESH if mesh.is_used(platform) else {}),
        "encryption": {"enabled": True, "type": "wireguard"},
        "policyCIDRMatchMode": "",  # a CIDR never selects pods or nodes
        "dnsProxy": {
            # A refused name is "not known" at once; clients retry a refusal for minutes.
            "dnsRejectResponseCode": "nameError",
            "enableTransparentMode": True,
            "endpointMaxIpPerHostname": 1000,
            "minTtl": 0,
        },
        "localRedirectPolicies": {"enabled": platform.dns.mode == "node"},
    }
