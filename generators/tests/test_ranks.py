"""Ranks: how many pods of what size a recipe leads to, how they meet, and what their end means."""

import re
from typing import Any

import pytest

from generators.foundation.network import rank_hosts
from generators.inputs.fitness import misfit
from generators.inputs.recipes import recipe
from generators.tests.samples import platform, record, runner, sample_platform, sample_tenant
from generators.tests.trained import CPU, EIGHT, NODES, ONE, carried, environment, pod_of, templates_of
from generators.training import exits, ranks
from generators.training.workflow import finetune
from trainer.contract import steps
from trainer.contract.steps import PIPELINE, Exit

TRAIN_STEP = next(step for step in PIPELINE if step.name == "train")
RENDEZVOUS = {steps.NODES, steps.RANKS_PER_NODE, steps.NODE_RANK, steps.MASTER_ADDRESS, steps.MASTER_PORT}


@pytest.mark.requirement("E80")
@pytest.mark.parametrize(("name", "pods", "gpus"), [(CPU, 1, None), (ONE, 1, "1"), (EIGHT, 1, "8"), (NODES, 2, "4")])
def test_a_recipe_says_how_many_pods_of_how_many_gpus_are_made(name: str, pods: int, gpus: str | None) -> None:
    body = carried(name)
    job = body["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (pods, pods, "Indexed")
    assert pod_of(body)["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") == gpus


@pytest.mark.parametrize("name", [CPU, ONE])
def test_one_rank_has_no_rendezvous(name: str) -> None:
    assert not environment(pod_of(carried(name))["containers"][0]).keys() & RENDEZVOUS


@pytest.mark.requirement("E80")
def test_ranks_of_two_nodes_meet_at_the_first_pod_under_a_name_they_may_resolve() -> None:
    body = carried(NODES)
    given = environment(pod_of(body)["containers"][0])
    assert (given[steps.NODES], given[steps.RANKS_PER_NODE]) == ("2", "4")
    assert given[steps.NODE_RANK]["fieldRef"]["fieldPath"].endswith("['batch.kubernetes.io/job-completion-index']")
    name = body["metadata"]["name"]
    assert given[steps.MASTER_ADDRESS].startswith(f"{name}-rank-0-0.{name}.")
    tenant = sample_tenant(models={"big": record().model_copy(update={"recipe": NODES})})
    (pattern,) = rank_hosts(tenant, platform())
    address = given[steps.MASTER_ADDRESS].replace("{{workflow.name}}", "ft-abc-a1")
    assert re.fullmatch(pattern.replace(".", r"\.").replace("*", "[a-z0-9-]*"), address)


@pytest.mark.parametrize("runner_name", ["jobset", "rayjob"])
def test_ranks_of_one_node_meet_on_localhost(runner_name: str) -> None:
    body = carried(EIGHT, runner_name)
    text = str(body)
    assert f"'{steps.RANKS_PER_NODE}', 'value': '8'" in text
    assert f"'{steps.MASTER_ADDRESS}', 'value': 'localhost'" in text


def test_a_trainjob_leaves_the_rendezvous_to_kubeflow_trainer_and_says_how_many_ranks() -> None:
    trainer = carried(NODES, "trainjob")["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    assert not environment(trainer).keys() & RENDEZVOUS


def test_every_gpu_brings_its_share_of_the_nodes_cores_and_memory() -> None:
    flavor = platform().gpu_flavors["t4"]
    limits = pod_of(carried(EIGHT))["containers"][0]["resources"]["limits"]
    assert limits["cpu"] == str(8 * flavor.cpus_per_gpu)
    assert limits["memory"] == f"{8 * flavor.host_memory_gib_per_gpu}Gi"


@pytest.mark.parametrize(("name", "pods", "gpus"), [(EIGHT, 1, "1"), (NODES, 2, "4")])
def test_an_evaluation_takes_one_gpu_unless_the_model_is_sharded(name: str, pods: int, gpus: str) -> None:
    body = carried(name, step="evaluate")
    assert body["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] == pods
    assert pod_of(body)["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == gpus


@pytest.mark.parametrize("recipe_name", [CPU, ONE, NODES])
@pytest.mark.parametrize("runner_name", ["jobset", "trainjob", "rayjob"])
def test_everything_that_trains_is_queued_ranked_bounded_and_given_time_to_save(
    runner_name: str, recipe_name: str
) -> None:
    if (runner_name, recipe_name) == ("rayjob", NODES):
        return  # refused when the inputs are read
    body = carried(recipe_name, runner_name)
    labels = body["metadata"]["labels"]
    assert (labels["kueue.x-k8s.io/queue-name"], labels["kueue.x-k8s.io/priority-class"]) == ("default", "finetune")
    tenant = sample_tenant(**runner(runner_name), models={"m": record().model_copy(update={"recipe": recipe_name})})
    text = str([body, *templates_of(tenant).needed])
    assert "'activeDeadlineSeconds': 432000" in text
    assert {int(seconds) for seconds in re.findall(r"'terminationGracePeriodSeconds': (\d+)", text)} == {120}


@pytest.mark.requirement("A33")
@pytest.mark.parametrize("name", [CPU, NODES])
def test_a_workflow_owns_what_it_makes_ends_in_time_and_is_cleaned_up(name: str) -> None:
    spec = finetune(sample_tenant(), platform(), recipe(name))["spec"]
    resources = [each["resource"] for each in spec["templates"] if "resource" in each]
    assert [each["setOwnerReference"] for each in resources if each["action"] == "create"] == [True, True]
    assert spec["activeDeadlineSeconds"] > ranks.RUN_SECONDS
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 259_200}


def test_ranks_on_several_nodes_are_no_rayjobs() -> None:
    reason = misfit(recipe(NODES), sample_tenant(**runner("rayjob")), platform())
    assert reason == "has 2 nodes, and runner rayjob starts ranks on one alone (take jobset or trainjob)"


def test_several_gpus_in_a_pod_are_none_that_pods_share() -> None:
    flavor = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 16, "architecture": "hopper"}
    shared = sample_platform(gpuFlavors={"t4": {**flavor, "sharing": {"mode": "mps", "replicas": 2}}})
    tenant = sample_tenant(training={"gpus": {"flavor": "t4", "guaranteed": 8}})
    reason = misfit(recipe(EIGHT), tenant, shared)
    assert reason == "has 8 GPUs in a pod, and flavor t4 shares one among several pods"


class _Failed:
    """A Job's failure as JobSet sees it: reason and message, in Kubernetes' own words."""

    def __init__(self, reason: str, message: str = "") -> None:
        self.reason, self.message = reason, message


POD = "acme-train/ft-x-a1-train-rank-0-1-abcde"
CODE = f"Container trainer for pod {POD} failed with exit code {{}} matching FailJob rule at index {{}}"
GONE = f"Pod {POD} has condition DisruptionTarget matching FailJob rule at index 2"


def action(policy: dict[str, Any], failed: _Failed) -> str:
    """What JobSet does: the first rule whose reason and message match, else a counted restart."""
    for rule in policy["rules"]:
        patterns = rule.get("onJobFailureMessagePatterns", [""])
        if failed.reason in rule["onJobFailureReasons"] and any(re.search(each, failed.message) for each in patterns):
            return str(rule["action"])
    return "RestartJobSet"


@pytest.mark.parametrize(
    ("failed", "wanted"),
    [
        (_Failed("PodFailurePolicy", CODE.format(int(Exit.STOPPED), 1)), "RestartJobSetAndIgnoreMaxRestarts"),
        (_Failed("PodFailurePolicy", CODE.format(int(Exit.KILLED), 1)), "RestartJobSetAndIgnoreMaxRestarts"),
        (_Failed("PodFailurePolicy", GONE), "RestartJobSetAndIgnoreMaxRestarts"),
        (_Failed("PodFailurePolicy", CODE.format(int(Exit.BAD_INPUT), 0)), "FailJobSet"),
        (_Failed("DeadlineExceeded"), "FailJobSet"),
        (_Failed("BackoffLimitExceeded"), "RestartJobSet"),
    ],
)
def test_several_ranks_go_on_together_as_the_exit_code_of_one_says(failed: _Failed, wanted: str) -> None:
    assert action(exits.jobset_failure_policy(TRAIN_STEP, alone=False), failed) == wanted


def test_none_of_several_ranks_is_made_anew_while_its_peers_still_run() -> None:
    rules = exits.pod_failure_policy("trainer", alone=False)["rules"]
    assert {rule["action"] for rule in rules} == {"FailJob"}
    assert exits.jobset_failure_policy(TRAIN_STEP, alone=False)["restartStrategy"] == "BlockingRecreate"


def test_a_bad_input_ends_the_job_whatever_the_number_of_ranks() -> None:
    policy = exits.jobset_failure_policy(TRAIN_STEP, alone=True)
    assert action(policy, _Failed("PodFailurePolicy", CODE.format(2, 0))) == "FailJobSet"
