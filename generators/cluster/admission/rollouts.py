"""Roll-outs move the traffic of their own namespace, are measured by the platform's Prometheus, and people promote."""

from generators.cluster.admission.policy import AdmissionPolicy, Resources, Rule, among, user
from generators.serving.analysis import PROMETHEUS
from generators.serving.gateway import PLUGIN

CONTROLLER = user("argo-rollouts", "argo-rollouts")
PLUGIN_KEYS = ("disableInProgressLabel", "httpRoute", "httpRoutes")
ROUTING_KEYS = ("istio", "managedRoutes", "maxTrafficWeight", "plugins")
# What promoting and aborting write (argo-rollouts 1.10: pkg/kubectl-argo-rollouts/cmd/{promote,abort}).
PROMOTED = ("abort", "controllerPause", "currentStepIndex", "pauseConditions")

_GROUP = "argoproj.io"


def rollouts() -> AdmissionPolicy:
    """The gatewayAPI plugin takes a `namespace` unchecked, and Istio's names may hold one: other tenants' traffic.

    Source: argo-rollouts 1.10, utils/istio/istio.go, reads `name.namespace`.
    """
    return AdmissionPolicy(
        name="tenon-rollouts",
        resources=[Resources(_GROUP, ("rollouts",))],
        variables={
            "canary": "object.spec.?strategy.?canary.orValue({})",
            "routing": "variables.canary.?trafficRouting.orValue({})",
            "plugins": "variables.routing.?plugins.orValue({})",
            "istio": "variables.routing.?istio.orValue({})",
            "virtualServices": "variables.istio.?virtualService.optMap(v, [v]).orValue([]) + "
            "variables.istio.?virtualServices.orValue([])",
            "analyses": "variables.canary.?analysis.optMap(a, [a]).orValue([]) + "
            "variables.canary.?steps.orValue([]).filter(s, has(s.analysis)).map(s, s.analysis) + "
            "object.spec.?strategy.?blueGreen.?prePromotionAnalysis.optMap(a, [a]).orValue([]) + "
            "object.spec.?strategy.?blueGreen.?postPromotionAnalysis.optMap(a, [a]).orValue([])",
        },
        rules=[
            Rule(
                f"variables.routing.all(k, k in {among(ROUTING_KEYS)}) && variables.plugins.all(p, p == '{PLUGIN}' && "
                f"variables.plugins[p].all(k, k in {among(PLUGIN_KEYS)}))",
                f"traffic is routed by {PLUGIN} without a namespace, or by istio; remove the other keys",
            ),
            Rule(
                "variables.virtualServices.all(v, !v.name.contains('.') && !v.name.contains('/'))",
                "a VirtualService is named without its namespace: it is the Rollout's own",
            ),
            Rule(
                "!has(object.spec.workloadRef) && variables.canary.?steps.orValue([]).all(s, !has(s.plugin))",
                "a Rollout holds its own pod template and runs no step plugin",
            ),
            Rule(
                "variables.analyses.all(a, a.?templates.orValue([]).all(t, !t.?clusterScope.orValue(false)))",
                "analysis templates are those of the namespace; remove clusterScope",
            ),
        ],
        planes=("serve",),
    )


def promotion() -> AdmissionPolicy:
    """The right to patch a Rollout's status is the right to promote, and this bounds it: no `promoteFull`, no stableRS.

    A retry of an aborted roll-out goes through Git, where the reason can be read.
    """
    return AdmissionPolicy(
        name="tenon-rollout-promotion",
        resources=[Resources(_GROUP, ("rollouts/status",), ("UPDATE",))],
        conditions={"not-the-controller": f"request.userInfo.username != '{CONTROLLER}'"},
        variables={
            "before": "oldObject.?status.orValue({})",
            "after": "object.?status.orValue({})",
            "paused": "variables.before.?controllerPause.orValue(false)",
            "step": "int(variables.before.?currentStepIndex.orValue(-1))",
            "next": "int(variables.after.?currentStepIndex.orValue(-1))",
        },
        rules=[
            Rule(
                "(variables.before.map(k, k) + variables.after.map(k, k)).all(k, "
                f"k in {among(PROMOTED)} || variables.before[?k] == variables.after[?k])",
                "of a Rollout's status people change pauses, the step and `abort`; promoteFull would skip the analysis",
            ),
            Rule(
                "variables.after.?pauseConditions.orValue([]).all(p, "
                "p in variables.before.?pauseConditions.orValue([])) && "
                "(variables.paused || !variables.after.?controllerPause.orValue(false))",
                "a pause may be ended here; it begins by a step or an analysis",
            ),
            Rule(
                "variables.next == variables.step || (variables.step >= 0 && variables.next == variables.step + 1)",
                "a roll-out is promoted by one step at a time",
            ),
            Rule(
                "!variables.before.?abort.orValue(false) || variables.after.?abort.orValue(false)",
                "an aborted roll-out is tried again through Git",
            ),
        ],
        planes=("serve",),
    )


def analyses() -> AdmissionPolicy:
    """Analyses are asked by the Rollouts controller, which may reach everything: so they ask Prometheus alone."""
    return AdmissionPolicy(
        name="tenon-analyses",
        resources=[Resources(_GROUP, ("analysistemplates", "analysisruns"))],
        rules=[
            Rule(
                "object.spec.?metrics.orValue([]).all(m, m.provider.all(k, k == 'prometheus') && "
                f"m.?provider.?prometheus.?address.orValue('') == '{PROMETHEUS}' && "
                "!has(m.provider.prometheus.headers) && m.provider.prometheus.?authentication.orValue({}).all(k, "
                "m.provider.prometheus.authentication[k] == {}))",  # empty, as the controller itself writes it
                f"a metric is a query of {PROMETHEUS}; jobs, web requests and plugins are no providers here",
            ),
            Rule(
                "object.spec.?args.orValue([]).all(a, !has(a.valueFrom) || !has(a.valueFrom.secretKeyRef))",
                "an analysis reads no Secret; pass the value",
            ),
            Rule(
                "object.spec.?templates.orValue([]).all(t, !t.?clusterScope.orValue(false))",
                "analysis templates are those of the namespace; remove clusterScope",
            ),
        ],
        planes=("serve",),
    )


def experiments() -> AdmissionPolicy:
    """The same for an Experiment's analyses."""
    return AdmissionPolicy(
        name="tenon-experiments",
        resources=[Resources(_GROUP, ("experiments",))],
        rules=[
            Rule(
                "object.spec.?analyses.orValue([]).all(a, !a.?clusterScope.orValue(false))",
                "analysis templates are those of the namespace; remove clusterScope",
            )
        ],
        planes=("serve",),
    )
