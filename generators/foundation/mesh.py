"""What Istio enforces in a serving namespace: mTLS, who may call, how often. The tenant's deployer may change none."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators import mesh, naming, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest


class TenantMesh(Construct):
    """PeerAuthentication, AuthorizationPolicies and the rate limit of `<tenant>-serve`; nothing without Istio."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if not mesh.is_used(platform):
            return
        made = [
            (strict_mtls(tenant.id), ""),
            (default_deny(tenant.id), ""),
            (requests(tenant.id, platform), ""),
            (rate_limit(tenant), "limits.requestsPerSecond"),
        ]
        for body, key in made:
            place = Place("foundation", naming.serving_namespace(tenant.id), tenant.key(key), Wave.POLICY)
            manifest(self, body, at=place)


def strict_mtls(tenant: str) -> dict[str, Any]:
    """Every port of every pod; the sidecar's own ports for metrics and probes are outside of it by Istio's design."""
    return _security("PeerAuthentication", "default", tenant, {"mtls": {"mode": "STRICT"}})


def default_deny(tenant: str) -> dict[str, Any]:
    """An AuthorizationPolicy without rules allows nothing."""
    return _security("AuthorizationPolicy", "default-deny", tenant, {})


def requests(tenant: str, platform: Platform) -> dict[str, Any]:
    """The ingress gateway and the router may use the model API, and no other path: /metrics has no key."""
    callers = [mesh.gateway_principal(platform), mesh.principal(naming.SYSTEM_NAMESPACE, "router")]
    operation = {"ports": [str(MODEL_PORT)], "paths": ["/v1/*"], "methods": ["GET", "POST"]}
    rule = {"from": [{"source": {"principals": callers}}], "to": [{"operation": operation}]}
    return _security("AuthorizationPolicy", "requests", tenant, {"action": "ALLOW", "rules": [rule]})


def rate_limit(tenant: Tenant) -> dict[str, Any]:
    """429 above the tenant's requests per second, counted by each server's sidecar for itself.

    So a tenant gets at most that many times its servers. One count for all needs a rate limit service and its store.
    Source: Envoy, envoy.filters.http.local_ratelimit; Istio has no object of its own for it.
    """
    per_second = tenant.limits.requests_per_second
    all_requests = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    limit = {
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "value": {
            "stat_prefix": "http_local_rate_limiter",
            "token_bucket": {"max_tokens": per_second, "tokens_per_fill": per_second, "fill_interval": "1s"},
            "filter_enabled": {"runtime_key": "local_rate_limit_enabled", **all_requests},
            "filter_enforced": {"runtime_key": "local_rate_limit_enforced", **all_requests},
        },
    }
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "subFilter": {"name": "envoy.filters.http.router"},
    }
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "SIDECAR_INBOUND",
            "listener": {"portNumber": MODEL_PORT, "filterChain": {"filter": manager}},
        },
        "patch": {
            "operation": "INSERT_BEFORE",
            "value": {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
        },
    }
    return {
        "apiVersion": versions.ISTIO_FILTERS,
        "kind": "EnvoyFilter",
        "metadata": {"name": "rate-limit", "labels": naming.labels(tenant.id)},
        "spec": {"configPatches": [patch]},
    }


def _security(kind: str, name: str, tenant: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": naming.labels(tenant)}
    return {"apiVersion": versions.ISTIO_SECURITY, "kind": kind, "metadata": metadata, "spec": spec}
