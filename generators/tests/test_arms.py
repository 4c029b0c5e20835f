"""Two versions at one time by more than weights: A/B arms, a header for the canary, base beside tuned."""

from collections import Counter
from typing import Any

import pytest

from app.contract.internal import ARM_HEADER
from app.contract.models import ModelRecord, Stage
from generators.foundation.directory import model_entry
from generators.tests.samples import SERVE, record, version
from generators.tests.served import command, rollout, served, spec

STABLE, OTHER = version("replies-a", Stage.STABLE), version("replies-b", Stage.CANDIDATE)


def ab_test(**changes: Any) -> ModelRecord:
    return record(STABLE, OTHER, ab={"version": "replies-b", "share": 10, "replicas": 2}, **changes)


def experiment(model: ModelRecord) -> tuple[str, dict[str, Any]]:
    ((name, body),) = [(key[2], body) for key, body in served(model).items() if key[1] == "Experiment"]
    return name, body["spec"]


def answering(model: ModelRecord, headers: dict[str, str]) -> Counter[str]:
    """Services that the Gateway sends 100 requests of the model's host to: most headers matched goes first."""
    rules = [
        (match.get("headers", []), rule)
        for (_, kind, _), body in served(model).items()
        if kind == "HTTPRoute"
        for rule in body["spec"]["rules"]
        for match in rule["matches"]
    ]
    matching = [each for each in rules if all(headers.get(one["name"]) == one["value"] for one in each[0])]
    _, rule = max(matching, key=lambda each: len(each[0]))
    weights = {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}
    return +Counter({name: 100 * weight // sum(weights.values()) for name, weight in weights.items()})


@pytest.mark.requirement("B39")
def test_arm_b_is_a_set_of_servers_of_its_own() -> None:
    body = rollout(ab_test(), "replies-b")
    assert body["replicas"] == 2
    assert body["selector"]["matchLabels"] != rollout(ab_test())["selector"]["matchLabels"]
    assert "replies=/models/versions/replies-b/adapter" in command(ab_test(), "replies-b")
    assert "replies=/models/versions/replies-a/adapter" in command(ab_test())


@pytest.mark.requirement("B43")
@pytest.mark.parametrize(
    ("arm", "service"),
    [({}, "replies-stable"), ({ARM_HEADER: "b"}, "replies-b"), ({ARM_HEADER: "canary"}, "replies-canary")],
)
def test_a_header_reaches_its_arm_and_that_arm_alone(arm: dict[str, str], service: str) -> None:
    assert answering(ab_test(), arm) == {service: 100}


def test_an_unknown_arm_is_answered_by_the_stable_version() -> None:
    assert answering(ab_test(), {ARM_HEADER: "c"}) == {"replies-stable": 100}


@pytest.mark.requirement("B46")
def test_weights_say_in_git_that_all_is_stable_and_the_remainder_is_named() -> None:
    (rule,) = spec(record(STABLE), "HTTPRoute")["rules"]
    assert [(each["name"], each["weight"]) for each in rule["backendRefs"]] == [
        ("replies-stable", 100),
        ("replies-canary", 0),
    ]


def test_every_service_that_a_route_names_is_rendered() -> None:
    objects = served(ab_test())
    named = {backend["name"] for key, body in objects.items() if key[1] == "HTTPRoute" for backend in _backends(body)}
    assert named == {key[2] for key in objects if key[1] == "Service"}


def test_the_rules_of_a_route_are_the_same_whatever_the_record_says() -> None:
    """Argo CD applies no change of a list in which it ignores a weight."""
    records = (
        record(),
        record(strategy="blueGreen"),
        record(canary={"level": "adapter"}),
        ab_test(),
        ab_test(runtime="triton"),
    )
    assert len({str(spec(model, "HTTPRoute")["rules"]) for model in records}) == 1
    assert len({str(spec(model, "HTTPRoute", "replies-canary")["rules"]) for model in records}) == 1


def test_routes_are_of_the_tenants_host_and_the_platforms_gateway() -> None:
    for name in ("replies", "replies-b", "replies-canary"):
        body = spec(ab_test(), "HTTPRoute", name)
        assert body["hostnames"] == ["replies.acme.models.example"]
        assert body["parentRefs"] == [{"name": "tenon", "namespace": "gateway"}]
        assert all(backend["group"] == "" for backend in _backends({"spec": body}))


def test_the_traffic_plugin_is_given_no_namespace_and_no_rules_to_manage() -> None:
    routing = rollout(record())["strategy"]["canary"]["trafficRouting"]
    assert routing == {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "replies"}}}


@pytest.mark.requirement("B39")
def test_servers_say_which_version_they_serve() -> None:
    for name, shown in (("replies", "replies-a"), ("replies-b", "replies-b")):
        labels = rollout(ab_test(), name)["template"]["metadata"]["labels"]
        assert (labels["tenon.dev/model"], labels["tenon.dev/version"]) == ("replies", shown)


def test_the_router_is_told_the_arms_and_their_shares() -> None:
    entry = model_entry(ab_test())
    assert (entry.stable, entry.ab, entry.ab_share, entry.adapter_share) == ("replies-a", "replies-b", 10, None)


def test_the_router_is_told_the_share_of_an_adapter_level_canary_while_there_is_one() -> None:
    adapter = {"canary": {"level": "adapter", "adapterShare": 7}}
    assert model_entry(record(STABLE, **adapter)).adapter_share is None
    assert model_entry(record(version("replies-b", Stage.CANARY), STABLE, **adapter)).adapter_share == 7


def test_an_experiment_runs_the_base_beside_the_version_and_compares_the_two() -> None:
    _, body = experiment(record(STABLE, experiment={"duration": "2h", "replicas": 1}))
    assert body["duration"] == "2h"
    words = {each["name"]: " ".join(each["template"]["spec"]["containers"][0]["command"]) for each in body["templates"]}
    assert "--lora-modules" in words["tuned"]
    assert "--lora-modules" not in words["base"]
    (analysis,) = body["analyses"]
    assert {each["value"] for each in analysis["args"]} == {
        "{{templates.tuned.podTemplateHash}}",
        "{{templates.base.podTemplateHash}}",
    }
    assert (SERVE, "AnalysisTemplate", analysis["templateName"]) in served(record(STABLE, experiment={}))


def test_an_experiment_on_another_version_is_another_experiment() -> None:
    newer = record(version("replies-b", Stage.CANARY), STABLE, experiment={})
    assert experiment(newer)[0] != experiment(record(STABLE, experiment={}))[0]


def test_no_user_is_answered_by_an_experiment() -> None:
    objects = served(record(STABLE, experiment={}))
    selectors = [body["spec"]["selector"] for key, body in objects.items() if key[1] == "Service"]
    _, body = experiment(record(STABLE, experiment={}))
    for each in body["templates"]:
        labels = each["template"]["metadata"]["labels"]
        assert each["selector"]["matchLabels"].items() <= labels.items()
        assert not [selector for selector in selectors if selector.items() <= labels.items()]


def _backends(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [backend for rule in body["spec"]["rules"] for backend in rule["backendRefs"]]
