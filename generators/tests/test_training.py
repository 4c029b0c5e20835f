import re
from functools import cache
from typing import Any

import pytest
import yaml
from kubernetes import client

from app.contract.internal import STATUS_PATH
from generators.foundation.rbac import training_accounts
from generators.inputs.recipes import recipe
from generators.tests.samples import TRAIN, made, platform, pods, runner, sample_platform, sample_tenant
from generators.training import exits
from generators.training.templates import TrainingWorkflows, training_templates
from generators.training.workflow import finetune
from trainer.contract import steps
from trainer.contract.steps import PIPELINE, Exit

RUNNERS = {"jobset": "JobSet", "trainjob": "TrainJob", "rayjob": "RayJob"}
GPU = "nvidia.com/gpu"
RECIPE = recipe("smollm2-135m-t4")
TRAIN_STEP = next(step for step in PIPELINE if step.name == "train")


@cache
def spec(runner_name: str = "jobset", isolation: str = "standard") -> dict[str, Any]:
    tenant = sample_tenant(isolation=isolation, **runner(runner_name))
    return dict(finetune(tenant, platform(), RECIPE)["spec"])


def objects_of(runner_name: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """All that is rendered for the training of a tenant."""
    tenant = sample_tenant(**runner(runner_name))
    templates = training_templates(tenant, platform())
    return made(TrainingWorkflows, tenant=tenant, platform=platform(), templates=templates)


def template(name: str, runner_name: str = "jobset") -> dict[str, Any]:
    return next(each for each in spec(runner_name)["templates"] if each["name"] == name)


def child(runner_name: str, step: str = "train") -> dict[str, Any]:
    """The object that a GPU step creates."""
    return dict(yaml.safe_load(template(step, runner_name)["resource"]["manifest"]))


def test_the_pipeline_runs_its_steps_in_order() -> None:
    tasks = template("pipeline")["dag"]["tasks"]
    assert [task["name"] for task in tasks] == [step.name for step in PIPELINE]
    assert [task.get("dependencies") for task in tasks] == [None, ["prepare"], ["train"], ["evaluate"]]


@pytest.mark.requirement("D65")
@pytest.mark.parametrize(("name", "kind"), RUNNERS.items())
@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_a_gpu_step_is_an_object_in_kueues_queue(name: str, kind: str, step: str) -> None:
    body = child(name, step)
    assert body["kind"] == kind
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "default"
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["name"] == f"{{{{workflow.name}}}}-{step}"


@pytest.mark.requirement("A18")
@pytest.mark.parametrize("name", RUNNERS)
def test_the_gpu_stands_in_requests_and_limits(name: str) -> None:
    carrier = child(name)
    if name == "trainjob":
        carrier = objects_of(name)[TRAIN, "TrainingRuntime", carrier["spec"]["runtimeRef"]["name"]]
    assert yaml.safe_dump(carrier).count(f"{GPU}: '1'") == 2


def test_no_plain_step_asks_for_a_gpu() -> None:
    for step in ("prepare", "publish"):
        assert GPU not in str(template(step))


@pytest.mark.parametrize("name", RUNNERS)
@pytest.mark.parametrize("isolation", ["standard", "hard"])
def test_only_declared_parameters_enter_a_manifest(name: str, isolation: str) -> None:
    text = str(spec(name, isolation))
    declared = {f"workflow.parameters.{each['name']}" for each in spec(name, isolation)["arguments"]["parameters"]}
    assert set(re.findall(r"{{(.*?)}}", text)) <= declared | {"workflow.name", "workflow.status"}


@pytest.mark.parametrize("name", RUNNERS)
def test_no_command_holds_a_parameter_or_a_shell(name: str) -> None:
    commands = [template(step.name, name).get("container", {}).get("command", []) for step in PIPELINE]
    commands += [child(name)["spec"].get("trainer", {}).get("command", []), [child(name)["spec"].get("entrypoint", "")]]
    words = [word for command in commands for word in command]
    assert not [word for word in words if "{{" in word or word in {"-c", "sh", "bash"}]


def test_a_dispatcher_gives_job_attempt_and_trace_and_in_hard_isolation_a_slot() -> None:
    assert [each["name"] for each in spec()["arguments"]["parameters"]] == ["job", "attempt", "traceparent"]
    slot = spec("jobset", "hard")["arguments"]["parameters"][-1]
    assert slot == {"name": "slot", "enum": ["0", "1"]}


def test_slots_of_hard_isolation_are_accounts_of_the_tenant() -> None:
    tenant = sample_tenant(isolation="hard")
    slots = spec("jobset", "hard")["arguments"]["parameters"][-1]["enum"]
    assert {f"trainer-{slot}" for slot in slots} <= set(training_accounts(tenant))


def test_a_step_is_told_the_watchers_endpoint_with_places_for_job_and_attempt() -> None:
    given = {each["name"]: each.get("value") for each in template("prepare")["container"]["env"]}
    assert given[steps.STATUS_URL] == f"http://watcher.tenon-system.svc.cluster.local:8081{STATUS_PATH}"


def test_every_exit_code_has_one_meaning() -> None:
    assert sorted((*exits.RESUMED, *exits.FINAL, Exit.DONE, Exit.FAILED)) == sorted(Exit)


def test_a_jobset_ends_on_final_codes_and_ignores_stopped_ranks() -> None:
    job = child("jobset")["spec"]["replicatedJobs"][0]["template"]["spec"]
    rules = {rule["action"]: rule["onExitCodes"]["values"] for rule in job["podFailurePolicy"]["rules"][:2]}
    assert rules == {"FailJob": [Exit.BAD_INPUT], "Ignore": [Exit.STOPPED, Exit.KILLED]}
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_jobset_restarts_a_bounded_number_of_times_and_never_on_bad_input() -> None:
    policy = child("jobset")["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == TRAIN_STEP.retries
    assert [(rule["action"], rule["onJobFailureReasons"]) for rule in policy["rules"]] == [
        ("FailJobSet", ["PodFailurePolicy", "DeadlineExceeded"])
    ]


@pytest.mark.parametrize(
    ("code", "retries", "again"),
    [(2, 0, False), (75, 9, True), (143, 9, True), (1, 0, True), (1, 1, True), (1, 2, False), (-1, 0, True)],
)
def test_a_plain_step_is_tried_again_by_its_exit_code(code: int, retries: int, again: bool) -> None:  # noqa: FBT001
    expression = template("prepare")["retryStrategy"]["expression"]
    values = {"asInt(lastRetry.exitCode)": str(code), "asInt(retries)": str(retries), "||": "or", "&&": "and"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert eval(expression, {}) is again  # noqa: S307 - our own expression, the same in Python but for the words


def test_the_trainjobs_runtime_is_there_under_the_name_it_asks_for() -> None:
    for step in ("train", "evaluate"):
        runtime = child("trainjob", step)["spec"]["runtimeRef"]["name"]
        assert (TRAIN, "TrainingRuntime", runtime) in objects_of("trainjob")


def test_a_template_is_named_by_its_content() -> None:
    def name(**changes: Any) -> str:
        return str(finetune(sample_tenant(**changes), sample_platform(), RECIPE)["metadata"]["name"])

    assert re.fullmatch(r"finetune-[0-9a-f]{8}", name())
    assert name() == name()
    assert name() != name(**runner("rayjob"))


@pytest.mark.parametrize("name", RUNNERS)
def test_no_pod_of_a_job_mounts_a_token_of_the_api_server(name: str) -> None:
    assert spec(name)["automountServiceAccountToken"] is False
    assert spec(name)["executor"] == {"serviceAccountName": "executor"}
    assert template("train", name)["serviceAccountName"] == "executor"
    text = str(objects_of(name))
    assert "'automountServiceAccountToken': True" not in text
    assert "automountServiceAccountToken" in text


@pytest.mark.requirement("A18")
@pytest.mark.parametrize("name", RUNNERS)
def test_every_container_is_restricted_bounded_and_pinned(name: str) -> None:
    for container in _containers([*objects_of(name).values(), child(name)]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert "@sha256:" in container["image"]


@pytest.mark.parametrize("name", ["jobset", "rayjob"])
def test_every_pod_of_a_job_has_only_fields_that_kubernetes_knows(name: str) -> None:
    found = pods(child(name))
    assert found
    for pod in found:
        client.V1PodSpec.model_validate(pod)


def test_a_submitter_and_its_head_fit_what_comes_with_one_gpu() -> None:
    flavor = platform().gpu_flavors["t4"]
    job = child("rayjob")["spec"]
    pods = [job["submitterPodTemplate"], job["rayClusterSpec"]["headGroupSpec"]["template"]]
    asked = [pod["spec"]["containers"][0]["resources"]["requests"] for pod in pods]
    assert sum(int(each["cpu"]) for each in asked) == flavor.cpus_per_gpu
    assert sum(int(each["memory"].removesuffix("Gi")) for each in asked) == flavor.host_memory_gib_per_gpu


def _containers(value: Any) -> list[dict[str, Any]]:
    """Every mapping with an image and a place for volumes, at any depth."""
    found = [value] if isinstance(value, dict) and {"image", "volumeMounts"} <= value.keys() else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found + [each for item in items for each in _containers(item)]
