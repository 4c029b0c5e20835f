"""Everything rendered is accepted by a real kube-apiserver: strict fields, schemas, CEL rules, Pod Security."""

import time
from collections.abc import Callable, Iterable

import pytest
import yaml
from controlplane.api import Answer, Api
from controlplane.binaries import TOOLS_FOLDER
from controlplane.documents import Kind
from controlplane.trees import INPUTS, RenderedTree, bootstrapped

pytestmark = pytest.mark.apiserver


def unvalidated() -> set[Kind]:
    """The kinds that the list excuses, each with a reason."""
    listed = yaml.safe_load((TOOLS_FOLDER / "unvalidated.yaml").read_text(encoding="utf-8"))["kinds"]
    assert all(each["reason"].strip() for each in listed)
    return {(each["apiVersion"], each["kind"]) for each in listed}


@pytest.fixture(scope="module")
def standing(api: Api, rendered: RenderedTree) -> list[Answer]:
    """Namespaces, accounts and limit ranges are really there, as they are before anything else is synced."""
    api.install({each.kind for each in (*rendered.documents, *rendered.inside)})
    ranges = [each for each in rendered.documents if each.body["kind"] == "LimitRange"]
    return [
        *api.establish([*bootstrapped(), *rendered.documents]),
        *(api.apply(each, dry_run=False) for each in ranges),
    ]


def refused(answers: Iterable[Answer]) -> str:
    return "\n".join(str(answer) for answer in answers if not answer.accepted)


def warned(answer: Answer) -> bool:
    """Argo CD knows the finalizer of an AppProject by its bare name alone, which the server warns of."""
    ours = [each for each in answer.warnings if "resources-finalizer.argocd.argoproj.io" not in each]
    return bool(ours if answer.document.body["kind"] == "AppProject" else answer.warnings)


def test_namespaces_accounts_and_limit_ranges_are_made(standing: list[Answer]) -> None:
    assert not refused(standing)


@pytest.mark.usefixtures("standing")
def test_every_object_is_accepted(api: Api, rendered: RenderedTree) -> None:
    started = time.monotonic()
    answers = api.dry_run([each for each in rendered.documents if each.kind not in unvalidated()])
    print(f"\n{rendered.name}: strict dry run of {len(answers)} objects in {time.monotonic() - started:.1f} s")
    assert len(answers) > 200
    assert not refused(answers)
    assert not [f"{answer.document.origin}: {answer.warnings}" for answer in answers if warned(answer)]


@pytest.mark.requirement("A18")
@pytest.mark.usefixtures("standing")
def test_every_object_and_pod_inside_another_is_accepted(api: Api, rendered: RenderedTree) -> None:
    answers = api.dry_run([each for each in rendered.inside if each.kind not in unvalidated()])
    pods = sum(answer.document.body["kind"] == "Pod" for answer in answers)
    print(f"\n{rendered.name}: {len(answers) - pods} objects and {pods} pods inside others")
    assert not refused(answers)


def test_only_kinds_that_are_listed_are_not_validated(api: Api, trees: Callable[[str], RenderedTree]) -> None:
    kinds = {each.kind for name in INPUTS for tree in [trees(name)] for each in (*tree.documents, *tree.inside)}
    assert set(api.install(kinds)) == unvalidated()
