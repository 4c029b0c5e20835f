"""Everything rendered is accepted by a real kube-apiserver: strict fields, schemas, CEL rules, Pod Security."""

import time
from collections.abc import Iterable

import pytest
from controlplane.api import Answer, Api
from controlplane.trees import RenderedTree, bootstrapped

pytestmark = pytest.mark.apiserver


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


def test_namespaces_accounts_and_limit_ranges_are_made(standing: list[Answer]) -> None:
    assert not refused(standing)


@pytest.mark.usefixtures("standing")
def test_every_object_is_accepted(api: Api, rendered: RenderedTree) -> None:
    started = time.monotonic()
    answers = api.dry_run(rendered.documents)
    print(f"\n{rendered.name}: strict dry run of {len(answers)} objects in {time.monotonic() - started:.1f} s")
    assert not refused(answers)


@pytest.mark.usefixtures("standing")
def test_every_object_and_pod_inside_another_is_accepted(api: Api, rendered: RenderedTree) -> None:
    answers = api.dry_run(rendered.inside)
    pods = sum(answer.document.body["kind"] == "Pod" for answer in answers)
    print(f"\n{rendered.name}: {len(answers) - pods} objects and {pods} pods inside others")
    assert not refused(answers)
