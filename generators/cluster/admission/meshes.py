"""With trafficRouter istio: what a tenant's routes may say to the mesh, and which kinds are the platform's alone."""

from collections.abc import Sequence

from generators import mesh, naming
from generators.cluster.admission.namespaces import SYNCER
from generators.cluster.admission.policy import TENANT, AdmissionPolicy, Resources, Rule, among
from generators.inputs.platform import Platform

_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"
OF_PLATFORM = (
    Resources(_NETWORKING, ("envoyfilters", "gateways", "proxyconfigs", "serviceentries", "sidecars")),
    Resources(_NETWORKING, ("workloadentries", "workloadgroups")),
    Resources(_SECURITY, ("authorizationpolicies", "peerauthentications", "requestauthentications")),
    Resources("extensions.istio.io", ("wasmplugins",)),
    Resources("telemetry.istio.io", ("telemetries",)),
)
_OWN = "('.' + request.namespace + '.svc.cluster.local')"


def mesh_policies(platform: Platform) -> Sequence[AdmissionPolicy]:
    """None without Istio."""
    return (virtual_services(platform), destination_rules(platform), mesh_kinds()) if mesh.is_used(platform) else ()


def virtual_services(platform: Platform) -> AdmissionPolicy:
    """A VirtualService may name any host and any gateway of the mesh: other tenants' requests would be its to route."""
    gateway = platform.gateway
    return AdmissionPolicy(
        name="tenon-virtual-services",
        resources=[Resources(_NETWORKING, ("virtualservices",))],
        variables={"routes": "object.spec.?http.orValue([])"},
        rules=[
            Rule(
                "object.spec.?hosts.orValue([]) != [] && "
                f"object.spec.hosts.all(h, h.endsWith('.' + {TENANT} + '.{platform.domain}'))",
                f"a VirtualService names its hosts, each under <tenant>.{platform.domain}",
            ),
            Rule(
                f"object.spec.?gateways.orValue([]) == ['{gateway.namespace}/{gateway.name}']",
                f"its one gateway is {gateway.namespace}/{gateway.name}: without one it routes inside the mesh",
            ),
            Rule(_seen_by(platform), "it is seen by its own namespace, the gateway's and the platform's; set exportTo"),
            Rule(
                "!has(object.spec.tcp) && !has(object.spec.tls) && variables.routes.all(r, "
                "!has(r.delegate) && !has(r.mirror) && !has(r.mirrors) && !has(r.redirect) && "
                f"r.?route.orValue([]).all(d, d.destination.host.endsWith({_OWN})))",
                "requests go to Services of its namespace, named in full; nothing is mirrored, redirected or delegated",
            ),
        ],
        planes=("serve",),
    )


def destination_rules(platform: Platform) -> AdmissionPolicy:
    """A DestinationRule for a host elsewhere would change how others call it."""
    return AdmissionPolicy(
        name="tenon-destination-rules",
        resources=[Resources(_NETWORKING, ("destinationrules",))],
        rules=[
            Rule(
                f"object.spec.host.endsWith({_OWN})",
                "a DestinationRule is for a Service of its namespace, named in full",
            ),
            Rule(_seen_by(platform), "it is seen by its own namespace, the gateway's and the platform's; set exportTo"),
            Rule(
                "object.spec.?trafficPolicy.?tls.?mode.orValue('ISTIO_MUTUAL') == 'ISTIO_MUTUAL'",
                "Services are called by mutual TLS; leave the mode out",
            ),
        ],
        planes=("serve",),
    )


def mesh_kinds() -> AdmissionPolicy:
    """Who may call whom, by what identity, through which filters: Git's to say, applied by Argo CD's controller."""
    return AdmissionPolicy(
        name="tenon-mesh-kinds",
        resources=OF_PLATFORM,
        rules=[
            Rule(
                f"request.userInfo.username == '{SYNCER}'",
                "what the mesh enforces in a tenant's namespace changes through Git alone; edit what is rendered",
            )
        ],
    )


def _seen_by(platform: Platform) -> str:
    allowed = among([".", platform.gateway.namespace, naming.SYSTEM_NAMESPACE])
    return f"object.spec.?exportTo.orValue([]) != [] && object.spec.exportTo.all(n, n in {allowed})"
