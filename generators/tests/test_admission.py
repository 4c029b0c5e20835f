"""The admission policies as they are rendered: whole, bound, each with fixtures. policy-tests tries that they bite."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from generators.cluster.admission import PlatformAdmission, admission_policies
from generators.cluster.admission.policy import AdmissionPolicy, binding_body, policy_body
from generators.tests.samples import made, sample_platform

FIXTURES = Path(__file__).parents[2] / "policy-tests" / "admission"
EVERYTHING = sample_platform(trafficRouter="istio")  # the policies of the mesh beside all others
POLICIES = admission_policies(EVERYTHING)

# What an expression may name without a policy of its own declaring it.
GIVEN = {"object", "oldObject", "request", "namespaceObject", "variables", "quantity", "int", "has", "true", "false"}
_STRING = re.compile(r"r?'[^']*'")
_ROOT = re.compile(r"(?<![\w.?'])([a-zA-Z_]\w*)")
_BOUND = re.compile(r"\.(?:all|exists|filter|map|optMap)\(([a-z])\b")


def of_each_policy() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def fixtures(policy: AdmissionPolicy) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FIXTURES / f"{policy.name}.yaml").read_text(encoding="utf-8"))
    return read


def test_every_policy_is_rendered_with_its_binding() -> None:
    objects = made(PlatformAdmission, platform=EVERYTHING)
    assert {kind for _, kind, _ in objects} == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert len(objects) == 2 * len(POLICIES)
    assert len({policy.name for policy in POLICIES}) == len(POLICIES)


@of_each_policy()
def test_policy_and_binding_satisfy_kubernetes_own_model(policy: AdmissionPolicy) -> None:
    client.V1ValidatingAdmissionPolicy.model_validate(policy_body(policy))
    client.V1ValidatingAdmissionPolicyBinding.model_validate(binding_body(policy))


@of_each_policy()
def test_what_cannot_be_evaluated_is_refused(policy: AdmissionPolicy) -> None:
    assert policy_body(policy)["spec"]["failurePolicy"] == "Fail"
    assert binding_body(policy)["spec"]["validationActions"] == ["Deny", "Audit"]


@of_each_policy()
def test_a_policy_of_tenants_is_bound_by_the_labels_of_their_namespaces(policy: AdmissionPolicy) -> None:
    spec = binding_body(policy)["spec"]
    assert spec["policyName"] == policy.name
    if policy.planes:
        keys = {each["key"] for each in spec["matchResources"]["namespaceSelector"]["matchExpressions"]}
        assert keys == {"tenon.dev/tenant", "tenon.dev/plane"}


@of_each_policy()
def test_expressions_name_only_what_is_declared_before_them(policy: AdmissionPolicy) -> None:
    declared: set[str] = set()
    for name, expression in policy.variables.items():
        assert used(expression) <= declared, name
        declared.add(name)
    for rule in policy.rules:
        assert used(rule.expression) <= declared, rule.expression
        assert roots(rule.expression) <= GIVEN, rule.expression
    assert not [name for name in declared if not any(name in used(text) for text in expressions(policy))]


@of_each_policy()
def test_every_rule_has_a_bad_fixture_and_every_policy_a_good_one(policy: AdmissionPolicy) -> None:
    read = fixtures(policy)
    refused = [case["refused"] for case in read["bad"]]
    assert read["good"]
    for rule in policy.rules:
        assert [words for words in refused if words in rule.message], rule.message
    assert all(any(words in rule.message for rule in policy.rules) for words in refused)


def test_no_fixture_is_left_of_a_policy_that_is_gone() -> None:
    assert {file.stem for file in FIXTURES.glob("*.yaml")} == {policy.name for policy in POLICIES}


def test_the_policies_name_no_tenant() -> None:
    assert "acme" not in repr([(policy_body(policy), binding_body(policy)) for policy in POLICIES])


def test_a_dot_in_a_registrys_name_means_a_dot() -> None:
    policies = admission_policies(sample_platform(trustedRegistries=["registry.example"]))
    (pods,) = (policy for policy in policies if policy.name == "tenon-pods")
    (image,) = re.findall(r"c\.image\.matches\(r'([^']+)'\)", repr(policy_body(pods)["spec"]).replace("\\\\", "\\"))
    digest = "a" * 64
    assert re.fullmatch(image, f"registry.example/x@sha256:{digest}")
    assert not re.fullmatch(image, f"registryXexample/x@sha256:{digest}")


def expressions(policy: AdmissionPolicy) -> list[str]:
    return [*policy.variables.values(), *(rule.expression for rule in policy.rules)]


def used(expression: str) -> set[str]:
    """Variables that an expression names."""
    return set(re.findall(r"\bvariables\.(\w+)", expression))


def roots(expression: str) -> set[str]:
    """Names that stand for themselves: no field of another, no string, not bound by a macro."""
    bare = _STRING.sub("''", expression)
    return set(_ROOT.findall(bare)) - set(_BOUND.findall(bare)) - {"in"}
