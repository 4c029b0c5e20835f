"""How the world reaches a tenant: HTTPRoutes under its own names on the platform's one Gateway, and nothing else."""

from generators.cluster.admission.policy import TENANT, AdmissionPolicy, Resources, Rule, among
from generators.inputs.platform import Platform

FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier")
_GROUP = "gateway.networking.k8s.io"


def routes(platform: Platform) -> AdmissionPolicy:
    """Host names under `<tenant>.<domain>`; traffic stays in the namespace."""
    gateway = platform.gateway
    own = "b.?namespace.orValue('') == '' && b.?kind.orValue('Service') == 'Service' && b.?group.orValue('') == ''"
    filters = f".?filters.orValue([]).all(f, f.type in {among(FILTERS)})"
    return AdmissionPolicy(
        name="tenon-routes",
        resources=[Resources(_GROUP, ("httproutes",))],
        rules=[
            Rule(
                "object.spec.?hostnames.orValue([]) != [] && "
                f"object.spec.hostnames.all(h, h.endsWith('.' + {TENANT} + '.{platform.domain}'))",
                f"a route names its hosts, each under <tenant>.{platform.domain}",
            ),
            Rule(
                "object.spec.?parentRefs.orValue([]) != [] && object.spec.parentRefs.all(p, "
                f"p.name == '{gateway.name}' && p.?namespace.orValue('') == '{gateway.namespace}' && "
                "p.?kind.orValue('Gateway') == 'Gateway')",
                f"a route's only parent is Gateway {gateway.namespace}/{gateway.name}",
            ),
            Rule(
                "object.spec.?rules.orValue([]).all(r, r.?backendRefs.orValue([]).all(b, "
                f"{own} && b{filters}) && r{filters})",
                "a route leads to Services of its namespace and changes headers at most",
            ),
        ],
        planes=("serve",),
    )


def services() -> AdmissionPolicy:
    """Services are addresses inside the cluster. An external address or name would be a way around every policy."""
    return AdmissionPolicy(
        name="tenon-services",
        resources=[Resources("", ("services",))],
        rules=[
            Rule(
                "object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && !has(object.spec.externalIPs) && "
                "!has(object.spec.externalName)",
                "a Service of a tenant is of type ClusterIP without external addresses; publish it by an HTTPRoute",
            )
        ],
    )


def entrances() -> AdmissionPolicy:
    """Kinds that open a namespace in another way; no tenant has one, whoever asks."""
    kinds = ("gateways", "grpcroutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes")
    return AdmissionPolicy(
        name="tenon-entrances",
        resources=[Resources(_GROUP, kinds), Resources("networking.k8s.io", ("ingresses",))],
        rules=[Rule("false", "a tenant's namespace is entered by HTTPRoutes of the platform's Gateway alone")],
    )
