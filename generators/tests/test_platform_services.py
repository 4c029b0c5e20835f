"""The Deployments of the job path: what they name is there, nobody is told more than it needs, and all can end."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from app.contract.internal import METRICS_PORT
from app.settings import Settings
from generators import naming
from generators.cluster.broker import PlatformBroker
from generators.cluster.deployments import DRAIN_SECONDS, SERVICES, PlatformDeployments, Service, deployment
from generators.cluster.environment import BUCKET_CLIENTS, STORE_CLIENTS, environment, secrets
from generators.cluster.gateway import ASKING_MODELS, PlatformGateway, gateway, routes
from generators.cluster.services import ACCOUNTS, PlatformServices
from generators.tests.samples import made, platform, pods, sample_platform

Body = dict[str, Any]
MODES = ("inCluster", "s3")
SYSTEM = naming.SYSTEM_NAMESPACE
# Read by libraries and by Git, under names of their own.
OTHERS = re.compile(r"HOME|AWS_(REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|GIT_CONFIG_(COUNT|KEY_0|VALUE_0)")


class Asked(Mapping[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return "1"

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.fixture(params=MODES)
def objects(request: pytest.FixtureRequest) -> dict[tuple[str, str, str], Body]:
    given = platform(request.param)
    return {**made(PlatformDeployments, platform=given), **made(PlatformGateway, platform=given)}


@pytest.fixture(params=SERVICES, ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.param
    return found


def of_kind(objects: dict[tuple[str, str, str], Body], kind: str) -> dict[str, Body]:
    return {name: body for (_, each, name), body in objects.items() if each == kind}


def container(service: Service, mode: str = "inCluster") -> Body:
    found: Body = deployment(service, platform(mode))["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(service: str, mode: str = "inCluster") -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in environment(service, platform(mode))}


def test_every_selector_finds_the_pods_it_is_for(objects: dict[tuple[str, str, str], Body]) -> None:
    labels = {
        name: body["spec"]["template"]["metadata"]["labels"] for name, body in of_kind(objects, "Deployment").items()
    }
    for name, body in of_kind(objects, "Deployment").items():
        assert body["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
    for name, body in of_kind(objects, "Service").items():
        assert [each for each in labels if body["spec"]["selector"].items() <= labels[each].items()] == [name]
    for name, body in of_kind(objects, "PodDisruptionBudget").items():
        chosen = body["spec"]["selector"]["matchLabels"]
        assert [each for each in labels if chosen.items() <= labels[each].items()] == [name]


def test_every_port_that_is_named_is_there(service: Service) -> None:
    made_of = container(service)
    ports = {port["name"] for port in made_of["ports"]}
    probes = {made_of[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probes <= ports
    assert ("http" in ports) == (service.port is not None)


def test_a_service_is_reached_on_the_port_that_policies_see(objects: dict[tuple[str, str, str], Body]) -> None:
    for name, body in of_kind(objects, "Service").items():
        (port,) = body["spec"]["ports"]
        served = {each["name"]: each["containerPort"] for each in container(one(name))["ports"]}
        assert port["port"] == served[port["targetPort"]]


def one(name: str) -> Service:
    (found,) = [each for each in SERVICES if each.name == name]
    return found


@pytest.mark.parametrize("mode", MODES)
def test_every_variable_is_one_that_somebody_reads(service: Service, mode: str) -> None:
    asked = Asked()
    Settings.from_environment(asked)
    given = variables(service.name, mode)
    inserted = {name for name in given if any(f"$({name})" in value for value in given.values())}
    unread = {name for name in given if name not in asked.names | inserted and not OTHERS.fullmatch(name)}
    assert not unread


@pytest.mark.parametrize("name", STORE_CLIENTS)
def test_a_service_with_a_store_starts_with_what_it_is_told(name: str) -> None:
    given = {**variables(name), "TENON_STORE_URL": "postgresql+psycopg://of-the-secret"}
    found = Settings.from_environment(given)
    assert found.directory_url == "configmaps://tenon-system?label=tenon.dev/directory"
    assert found.workflows == ("kubernetes" if name in {"dispatcher", "ingest", "watcher"} else "local")
    assert (found.listen, found.metrics_port) == ("0.0.0.0", METRICS_PORT)  # noqa: S104


def test_a_password_is_put_in_after_it_is_known() -> None:
    names = list(variables("dispatcher"))
    assert names.index("BROKER_PASSWORD") < names.index("TENON_BROKER_URL")


def test_a_service_is_told_of_nothing_it_may_not_reach() -> None:
    told = {each.name: variables(each.name).keys() for each in SERVICES}
    assert {name for name in told if "TENON_STORE_URL" in told[name]} == set(STORE_CLIENTS)
    assert {name for name in told if "TENON_BROKER_URL" in told[name]} == {"ingest", "dispatcher"}
    assert {name for name in told if "AWS_ACCESS_KEY_ID" in told[name]} == set(BUCKET_CLIENTS)
    assert {name for name in told if "GIT_CONFIG_COUNT" in told[name]} == {"promoter"}
    assert {name for name in told if "TENON_WEBHOOK_KEY_FILE" in told[name]} == {"ingest", "webhooks"}


def test_the_webhook_key_is_a_file_that_is_mounted() -> None:
    for name in ("ingest", "webhooks"):
        file = variables(name)["TENON_WEBHOOK_KEY_FILE"]
        assert any(file.startswith(f"{each['mountPath']}/") for each in container(one(name))["volumeMounts"])


def test_the_store_is_migrated_before_the_one_who_writes_all_of_it_starts() -> None:
    for service in SERVICES:
        spec = deployment(service, platform())["spec"]["template"]["spec"]
        found = [(each["command"], each["env"]) for each in spec.get("initContainers", ())]
        wanted = [(["python", "-m", "app", "migrate"], environment("dispatcher", platform()))]
        assert found == (wanted if service.name == "dispatcher" else [])


@pytest.mark.parametrize("mode", MODES)
def test_every_secret_that_a_pod_names_is_fetched_beside_it(mode: str) -> None:
    given = platform(mode)
    both = {**made(PlatformDeployments, platform=given), **made(PlatformBroker, platform=given)}
    fetched = {name for namespace, kind, name in both if (namespace, kind) == (SYSTEM, "ExternalSecret")}
    named = {name for body in both.values() for name in secret_names(body)}
    assert named <= fetched
    assert {secret["metadata"]["name"] for secret in secrets(given)} <= named


def secret_names(value: Any) -> Iterator[str]:
    """Secrets of pods' environment and volumes, at any depth."""
    if isinstance(value, dict):
        if "secretKeyRef" in value:
            yield value["secretKeyRef"]["name"]
        if "secretName" in value:
            yield value["secretName"]
        for child in value.values():
            yield from secret_names(child)
    elif isinstance(value, list):
        for child in value:
            yield from secret_names(child)


@pytest.mark.parametrize("mode", MODES)
def test_no_secret_stands_in_the_tree(mode: str) -> None:
    assert not of_kind(made(PlatformDeployments, platform=platform(mode)), "Secret")


def test_without_https_no_token_for_git_is_rendered() -> None:
    ssh = sample_platform(repository="ssh://git@git.example/tenon.git")
    objects = made(PlatformDeployments, platform=ssh)
    assert (SYSTEM, "ExternalSecret", "git") not in objects
    assert "git" not in set(secret_names(objects[SYSTEM, "Deployment", "promoter"]))


@pytest.mark.requirement("A18")
def test_every_process_is_restricted_and_named_by_digest(objects: dict[tuple[str, str, str], Body]) -> None:
    found = [pod for body in of_kind(objects, "Deployment").values() for pod in pods(body)]
    assert len(found) == len(SERVICES)
    for pod in found:
        (process,) = pod["containers"]
        assert re.search(r"@sha256:[0-9a-f]{64}$", process["image"])
        assert pod["securityContext"]["runAsNonRoot"]
        assert process["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert process["securityContext"]["readOnlyRootFilesystem"]
        assert process["resources"]["requests"] == process["resources"]["limits"]


def test_a_token_is_short_lived_and_asked_for(service: Service) -> None:
    pod = deployment(service, platform())["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    (token,) = [volume["projected"]["sources"][0] for volume in pod["volumes"] if "projected" in volume]
    assert token["serviceAccountToken"]["expirationSeconds"] <= 3600


def test_every_process_runs_as_its_own_account(service: Service) -> None:
    assert deployment(service, platform())["spec"]["template"]["spec"]["serviceAccountName"] == service.name
    assert service.name in ACCOUNTS[SYSTEM]


def test_on_aws_services_that_reach_buckets_have_a_role_and_no_other_has() -> None:
    found = {
        name: body["metadata"]["annotations"][naming.ROLE]
        for (_, kind, name), body in made(PlatformServices, platform=platform("s3")).items()
        if kind == "ServiceAccount"
        and "annotations" in body["metadata"]
        and naming.ROLE in body["metadata"]["annotations"]
    }
    assert found == {name: f"arn:aws:iam::123456789012:role/tenon-{name}" for name in BUCKET_CLIENTS}


def test_a_process_has_time_to_end(service: Service) -> None:
    pod = deployment(service, platform())["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 2 * DRAIN_SECONDS


def test_a_new_version_takes_no_capacity_away_and_the_promoter_is_never_two() -> None:
    strategies = {each.name: deployment(each, platform())["spec"]["strategy"] for each in SERVICES}
    assert strategies.pop("promoter") == {"type": "Recreate"}
    assert all(each["rollingUpdate"]["maxUnavailable"] == 0 for each in strategies.values())


def test_a_drained_node_takes_one_pod_of_a_service_at_a_time(objects: dict[tuple[str, str, str], Body]) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert set(budgets) == {each.name for each in SERVICES if each.replicas > 1}
    assert {body["spec"]["maxUnavailable"] for body in budgets.values()} == {1}


def test_every_route_leads_to_a_service_that_is_there(objects: dict[tuple[str, str, str], Body]) -> None:
    reached = {
        name: {port["port"] for port in body["spec"]["ports"]} for name, body in of_kind(objects, "Service").items()
    }
    for route in of_kind(objects, "HTTPRoute").values():
        for backend in (backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]):
            assert backend["port"] in reached[backend["name"]]


def test_one_base_url_serves_jobs_and_models() -> None:
    api, portal = routes(platform())
    backends = {
        match["path"]["value"]: rule["backendRefs"][0]["name"]
        for rule in api["spec"]["rules"]
        for match in rule["matches"]
    }
    assert backends == {**dict.fromkeys(ASKING_MODELS, "router"), "/": "ingest"}
    assert (api["spec"]["hostnames"], portal["spec"]["hostnames"]) == (
        ["api.models.example"],
        ["portal.models.example"],
    )


def test_the_gateway_takes_names_of_the_domain_from_labelled_namespaces_alone() -> None:
    (listener,) = gateway(platform())["spec"]["listeners"]
    assert (listener["hostname"], listener["protocol"]) == ("*.models.example", "HTTPS")
    (planes,) = listener["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert planes == {"key": naming.PLANE_LABEL, "operator": "In", "values": ["serve", "system"]}


def test_the_certificate_is_fetched_where_the_gateway_looks_for_it(objects: dict[tuple[str, str, str], Body]) -> None:
    (listener,) = of_kind(objects, "Gateway")["tenon"]["spec"]["listeners"]
    (reference,) = listener["tls"]["certificateRefs"]
    secret = objects["gateway", "ExternalSecret", reference["name"]]
    assert secret["spec"]["target"]["template"]["type"] == "kubernetes.io/tls"
    assert [each["secretKey"] for each in secret["spec"]["data"]] == ["tls.crt", "tls.key"]
