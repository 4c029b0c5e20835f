"""Prometheus and Grafana: values of chart `kube-prometheus-stack`, and the Service that everybody asks.

Beside them the adapter that serves one figure of Prometheus as a metric of Kubernetes, for HorizontalPodAutoscalers.

What Prometheus may reach is the tree's policy (cilium.py), so the chart's scraping of nodes and of the control plane is
off, and with it the chart's rules and dashboards, which would show nothing. Nobody is told where alerts go, so
there is no Alertmanager: an alert is seen in Prometheus and Grafana.
"""

from typing import Any

from generators import hosts, naming, restricted
from generators.cluster.dashboards import FOUND_BY
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest
from generators.naming import MONITORING_NAMESPACE
from generators.serving.scaling import WAITING

OPERATOR = "prometheus-operator"  # account
ADAPTER = "prometheus-adapter"  # add-on, its namespace and its account
PORT = 9090
_RELEASE = "tenon"  # prefix of what the chart makes
_OFF = (
    "alertmanager",
    "coreDns",
    "kubeApiServer",
    "kubeControllerManager",
    "kubeEtcd",
    "kubeProxy",
    "kubeScheduler",
    "kubeStateMetrics",
    "kubelet",
    "nodeExporter",
)
_PICKED = ("podMonitor", "probe", "rule", "scrapeConfig", "serviceMonitor")


class PlatformPrometheus(Construct):
    """Service `prometheus`."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:  # noqa: ARG002
        super().__init__(scope, construct_id)
        manifest(self, service(), at=Place("foundation", MONITORING_NAMESPACE, "platform.yaml", Wave.SERVICE))


def service() -> dict[str, Any]:
    """The name that analyses, scaling and Grafana ask; the chart's own has its release in it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "prometheus", "labels": dict(naming.MANAGED_BY)},
        "spec": {
            "selector": {"operator.prometheus.io/name": f"{_RELEASE}-prometheus"},
            "ports": [{"name": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    }


def chart_values() -> dict[str, Any]:
    """Values of chart `kube-prometheus-stack`. Accounts `prometheus` and `grafana` are ours."""
    return {
        "fullnameOverride": _RELEASE,
        "defaultRules": {"create": False},
        **{part: {"enabled": False} for part in _OFF},
        "prometheusOperator": {
            "serviceAccount": {"name": OPERATOR},
            # rules and monitors are checked where they are rendered; a webhook would have to be reached
            "admissionWebhooks": {"enabled": False},
            "tls": {"enabled": False},
            "kubeletService": {"enabled": False},
            "serviceMonitor": {"selfMonitor": False},
        },
        "prometheus": {
            "serviceAccount": {"create": False, "name": "prometheus"},
            "serviceMonitor": {"selfMonitor": False},
            "prometheusSpec": _prometheus(),
        },
        "grafana": grafana_values(),
    }


def _prometheus() -> dict[str, Any]:
    """Every monitor of the tree is taken, not the chart's alone; none lets its target choose its own labels."""
    disk = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Gi"}}}
    return {
        "overrideHonorLabels": True,  # else a server could report series in another tenant's name
        "retention": "35d",  # the cost dashboard looks back 30 days
        "storageSpec": {"volumeClaimTemplate": {"spec": disk}},
        **{f"{kind}SelectorNilUsesHelmValues": False for kind in _PICKED},
    }


def adapter_values() -> dict[str, Any]:
    """Values of chart `prometheus-adapter`: of pods, their waiting requests, and no other metric of anything.

    It asks for the namespace of the HorizontalPodAutoscaler that asks, so none is scaled by another tenant's servers.
    The chart drops its capabilities as `all`, which Pod Security does not read as `ALL`.
    """
    rule = {
        "seriesQuery": f'{WAITING}{{namespace!="",pod!=""}}',
        "resources": {"overrides": {name: {"resource": name} for name in ("namespace", "pod")}},
        "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
    return {
        "fullnameOverride": ADAPTER,
        "prometheus": {"url": f"http://{hosts.service('prometheus', MONITORING_NAMESPACE)}", "port": PORT},
        "rules": {"default": False, "custom": [rule]},
        "securityContext": dict(restricted.CONTAINER_SECURITY),
    }


def grafana_values() -> dict[str, Any]:
    """Values of the chart's Grafana: no password, no login, nothing that can be edited.

    Who may open it is who may forward a port of its pod, which the API server decides; tenants' owners may not.
    """
    label, value = next(iter(FOUND_BY.items()))
    return {
        "fullnameOverride": "grafana",
        "serviceAccount": {"create": False, "name": "grafana"},
        "defaultDashboardsEnabled": False,
        "serviceMonitor": {"enabled": False},
        "env": {"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true"},
        "grafana.ini": {
            "analytics": {"check_for_updates": False, "check_for_plugin_updates": False, "reporting_enabled": False},
            "auth": {"disable_login_form": True},
            "auth.anonymous": {"enabled": True, "org_role": "Viewer"},
        },
        "sidecar": {
            "dashboards": {
                "label": label,
                "labelValue": value,
                "searchNamespace": MONITORING_NAMESPACE,
                "skipReload": True,  # files are looked at anyhow; a call would need the password
            },
            "datasources": {
                "url": f"http://{hosts.service('prometheus', MONITORING_NAMESPACE)}:{PORT}",
                "alertmanager": {"enabled": False},
                "searchNamespace": MONITORING_NAMESPACE,
                "skipReload": True,
                "initDatasources": True,
            },
        },
    }
