"""Values that no key may have: each is one line with the value, the rule and the remedy."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.inputs.folder import read_inputs
from generators.inputs.reading import InputErrors

Edit = Callable[[str, str, str], None]

ACME, REPLIES, PLATFORM = "tenants/acme.yaml", "tenants/acme/models/replies.yaml", "platform.yaml"
JOB, OTHER = "abcdefghijklmnopqrstuvwxyz", "bbcdefghijklmnopqrstuvwxyz"


def version(job: str = JOB, stage: str = "stable", **changes: str) -> str:
    values = {
        "version": f"replies-{job[:12]}",
        "stage": stage,
        "adapterDigest": f"'{'0' * 64}'",
        "datasetFingerprint": f"'{'0' * 64}'",
        "metrics": "{}",
        "job": job,
        "trainedAt": "2026-01-01T00:00:00Z",
    } | changes
    return "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"


def serving(old: str, new: str, *versions: str) -> str:
    """The sample record with one of its serving keys changed, and versions."""
    text = """base: smollm2-135m
recipe: smollm2-135m-t4
serving:
  runtime: vllm
  replicas: 1
  gpusPerReplica: 1
  canary: {weights: [5, 100], approval: manual}
"""
    assert old in text
    return text.replace(old, new) + f"versions: [{', '.join(versions)}]\n"


RUNTIME = "runtime: vllm"
RECORDS = [
    ("[5, 100]", "[100]", [], "7: serving.canary.approval: manual pauses at a weight below 100 and there is none"),
    ("gpusPerReplica: 1", "gpusPerReplica: 0", [], "6: serving.gpusPerReplica: 0: vllm starts on no CPU; set 1"),
    (
        "vllm\n  replicas: 1\n  gpusPerReplica: 1",
        "triton\n  replicas: 1\n  gpusPerReplica: 0",
        [],
        "6: serving.gpusPerReplica: 0: triton starts on no CPU; set 1",
    ),
    (
        "replicas: 1",
        "replicas: 0\n  autoscale: {maxReplicas: 1}",
        [],
        "5: serving.replicas: 0: autoscale adds to servers that are there; set 1 at least",
    ),
    (
        "replicas: 1",
        "replicas: 2\n  autoscale: {maxReplicas: 1}",
        [],
        "6: serving.autoscale.maxReplicas: 1 is less than replicas (2); raise it",
    ),
    (RUNTIME, "experiment: {}", [], "4: serving.experiment: there is no version to compare with the base"),
    (
        RUNTIME,
        "experiment: {}",
        [version(stage="candidate")],
        "4: serving.experiment: there is no version to compare with the base",
    ),
    (RUNTIME, "ab: {version: replies-x}", [version()], "4: serving.ab.version: 'replies-x' is no version of this"),
    (
        RUNTIME,
        f"ab: {{version: replies-{JOB[:12]}}}",
        [version()],
        "4: serving.ab.version: 'replies-abcdefghijkl' is the stable version, which arm a serves",
    ),
    (
        RUNTIME,
        f"ab: {{version: replies-{JOB[:12]}}}",
        [version(stage="candidate")],
        "4: serving.ab.version: 'replies-abcdefghijkl' has no stable version beside it",
    ),
    (
        RUNTIME,
        f"ab: {{version: replies-{OTHER[:12]}}}",
        [version(), version(OTHER, stage="retired")],
        "4: serving.ab.version: 'replies-bbcdefghijkl' is retired; name a version that is not",
    ),
    (RUNTIME, RUNTIME, [version(job='""', version="replies")], "8: versions[0].job: '': is not of the form ^[a-z0-9]"),
    (
        RUNTIME,
        RUNTIME,
        [version(job="b7wd/../../x", version="replies")],
        "8: versions[0].job: 'b7wd/../../x': is not of the form",
    ),
    (RUNTIME, RUNTIME, [version(job='"-"', version="replies")], "8: versions[0].job: '-': is not of the form"),
    (
        RUNTIME,
        RUNTIME,
        [version(metrics="{lossAfter: .nan}")],
        "8: versions[0].metrics.lossAfter: '.nan': is no plain decimal number",
    ),
    (
        RUNTIME,
        RUNTIME,
        [version(trainedAt="2026-01-01T00:00:00")],
        "8: versions[0].trainedAt: '2026-01-01T00:00:00': has no time zone; end it with Z",
    ),
    (RUNTIME, RUNTIME, [version(trainedAt="2026-01-01")], "8: versions[0].trainedAt: '2026-01-01': is no time; write"),
]
TENANTS = [
    ('"@acme/ml"', '"@a/b/c"', "4: owners[0]: '@a/b/c': is not of the form"),
    ('"@acme/ml"', '"@acme/"', "4: owners[0]: '@acme/': is not of the form"),
    ('"@acme/ml"', '"@x//y"', "4: owners[0]: '@x//y': is not of the form"),
    ("Acme Support", "'{{ query \"up\" }}'", "holds '{{', with which templates of alerts and workflows begin"),
    ("isolation:", "id: other\nisolation:", "5: id: is no key here; remove it or mend its spelling"),
    ("isolation:", "models: {}\nisolation:", "5: models: is no key here; remove it or mend its spelling"),
    ("isolation:", 'drift: {schedule: "0 0 31 2 *"}\nisolation:', "names day 31 of month 2, a date that never comes"),
    ("isolation:", 'drift: {schedule: "0 0 31 4,6 */2"}\nisolation:', "names day 31 of month 4,6, a date that never"),
    ("isolation:", 'drift: {schedule: "0 0 \N{FULLWIDTH DIGIT FIVE} 2 *"}\nisolation:', "where 1-31, a range"),
    ("guaranteed: 2", "guaranteed: 010", "10: training.gpus.guaranteed: '010': is no plain decimal number"),
    ("guaranteed: 2", "guaranteed: 1:30", "10: training.gpus.guaranteed: '1:30': is no plain decimal number"),
    ("guaranteed: 2", "guaranteed: 0x2", "10: training.gpus.guaranteed: '0x2': is no plain decimal number"),
    ("guaranteed: 2", "guaranteed: 1_0", "10: training.gpus.guaranteed: '1_0': is no plain decimal number"),
    ("Support", "Supp\0ort", "3: character U+0000 is no text; remove it"),
    ("serving: {gpus: 4}", "serving: 4", "15: serving: 4: is no mapping; write `key: value` lines"),
    ("[mirror.acme.example]", "a.example", "13: egress: 'a.example': is no list; write `- value` lines"),
    (
        "[mirror.acme.example]",
        f"[{', '.join(f'h{number}.example' for number in range(21))}]",
        "13: egress: has 21 entries; 20 at most, so remove some",
    ),
    ("Acme Support", "7", "3: displayName: 7: is no text; put it in quotes"),
    ("Acme Support", "x" * 81, "has more than 80 characters; shorten it"),
]
T4 = "architecture: turing,"
LABELS = "nodeLabels: {tenon.dev/gpu: t4}"
FILE = [
    ("cluster: eu1", "cluster: eu1\nimages: {}", "images: is no key here"),
    ("cluster: eu1", "cluster: eu1\ncharts: {}", "charts: is no key here"),
    ("models.tenon.example\n", f"{'a' * 64}.example\n", "is no exact lower-case host name"),
    ("models.tenon.example\n", "a--.example\n", "is no exact lower-case host name"),
    ("models.tenon.example\n", f"{'.'.join(['a' * 50] * 4)}.example\n", "of 200 characters at most"),
    ("https://git.tenon.example/platform/tenon.git", "https://git.example/a b", "is no URL"),
    ("https://git.tenon.example/platform/tenon.git", '"https://git.example/a\\nb"', "is no URL"),
    ("https://git.tenon.example/platform/tenon.git", "https://:s@git.example/a", "names a user or a password"),
    ("https://git.tenon.example/platform/tenon.git", "https://x@git.example/a", "names a user or a password"),
    ("https://git.tenon.example/platform/tenon.git", "https:///a", "names no host"),
    ("https://git.tenon.example/platform/tenon.git", '"https://[::1/a"', "is no URL"),
    ("[https://login.tenon.example]", '["https://[a"]', "oidcIssuers[0]: 'https://[a': is not of the form"),
    ("[https://login.tenon.example]", "[https://a b]", "oidcIssuers[0]: 'https://a b': is not of the form"),
    ("searchDomains: [cluster.local]", "searchDomains: [a b]", "dns.searchDomains[0]: 'a b': is not of the form"),
    ("prices:", f"broker: {{cluster: {'k' * 41}}}\nprices:", "has more than 40 characters; shorten it"),
    (T4, f"{T4} deviceClass: a..b,", "gpuFlavors.t4.deviceClass: 'a..b': is not of the form"),
    (
        T4,
        f"{T4} sharing: {{mode: mps, replicas: 13}},",
        " is no multiple of sharing.replicas (13), by which it counts; write GPUs times replicas",
    ),
    (LABELS, "nodeLabels: {-a: t4}", "gpuFlavors.t4.nodeLabels.-a: '-a': is no key of a Kubernetes label"),
    (LABELS, 'nodeLabels: {a: "b c"}', "gpuFlavors.t4.nodeLabels.a: 'b c': is no value of a Kubernetes label"),
    (LABELS, 'nodeLabels: {a: ""}', "gpuFlavors.t4.nodeLabels.a: '': is no value of a Kubernetes label"),
    *(
        (
            "mode: inCluster",
            f"mode: s3, account: '123456789012', region: {region}",
            f"storage.region: '{region}': {said}",
        )
        for region, said in (
            ("cn-north-1", "is of a partition whose hosts and ARNs differ"),
            ("us-gov-west-1", "is of a partition whose hosts and ARNs differ"),
            ("eu1", "is no AWS region; write one as eu-central-1"),
            ("eu-central-1.evil.example/x", "is no AWS region; write one as eu-central-1"),
        )
    ),
]


def errors_of(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors]


@pytest.mark.parametrize(("old", "new", "versions", "error"), RECORDS)
def test_a_record_that_cannot_be_served_is_refused_at_its_key(
    root: Path, old: str, new: str, versions: list[str], error: str
) -> None:
    (root / REPLIES).write_text(serving(old, new, *versions), encoding="utf-8")
    (found,) = errors_of(root)
    assert found.startswith(f"{REPLIES}:{error}")


@pytest.mark.parametrize(("old", "new", "error"), TENANTS)
def test_a_value_that_a_tenant_cannot_have_is_refused(root: Path, edit: Edit, old: str, new: str, error: str) -> None:
    edit(ACME, old, new)
    (found,) = errors_of(root)
    assert re.match(rf"{ACME}:\d+: ", found)
    assert error in found


@pytest.mark.parametrize(("old", "new", "error"), FILE)
def test_a_value_that_a_platform_cannot_have_is_refused(root: Path, edit: Edit, old: str, new: str, error: str) -> None:
    edit(PLATFORM, old, new)
    (found,) = errors_of(root)
    assert found.startswith(PLATFORM)
    assert error in found


@pytest.mark.parametrize("schedule", ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 2,3 *", "0 0 5/10 2 *", "*/5 * * * *"])
def test_a_time_that_comes_is_a_schedule(root: Path, edit: Edit, schedule: str) -> None:
    edit(ACME, "isolation:", f'drift: {{schedule: "{schedule}"}}\nisolation:')
    read_inputs(root)


@pytest.mark.parametrize("url", ["ssh://git@git.example/a.git", "file:///srv/tenon", "https://git.example:8443/a.git"])
def test_a_repository_may_be_asked_as_the_user_git_and_on_a_port(root: Path, edit: Edit, url: str) -> None:
    edit(PLATFORM, "https://git.tenon.example/platform/tenon.git", url)
    read_inputs(root)


def test_faults_of_one_line_come_in_the_order_of_its_items(root: Path, edit: Edit) -> None:
    edit(ACME, "[mirror.acme.example]", f"[{', '.join(f'H{number}' for number in range(11))}]")
    assert [re.findall(r"egress\[(\d+)\]", text)[0] for text in errors_of(root)] == [*map(str, range(11))]
