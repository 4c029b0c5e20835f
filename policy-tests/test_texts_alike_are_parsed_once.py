"""A text that is filled in from another tenant's gives what its own parse gives, or is parsed itself."""

from itertools import permutations
from pathlib import Path

import pytest
from differential.marked_texts import IDS, PIECES, TEXTS, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.manifests.reading import read_documents
from isolation.manifests.templates import Templates

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("text", TEXTS)
def test_whoever_comes_first_the_next_tenant_gets_its_own_text(text: str) -> None:
    for first, second in permutations(IDS, 2):
        templates = Templates()
        outcome(lambda: templates.documents(text.format(id=first), where="f", tenant=first))  # noqa: B023
        own = text.format(id=second)
        made = outcome(lambda: templates.documents(own, where="f", tenant=second))  # noqa: B023
        assert made == outcome(lambda: read_documents(own, where="f")), (first, second)  # noqa: B023


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=14), ids=st.permutations(IDS))
def test_a_text_of_any_pieces_is_filled_in_as_it_is_parsed(pieces: list[str], ids: list[str]) -> None:
    templates, text = Templates(), "k: " + "".join(pieces)
    for tenant in ids[:4]:
        own = text.format(id=tenant)
        made = outcome(lambda: templates.documents(own, where="f", tenant=tenant))  # noqa: B023
        assert made == outcome(lambda: read_documents(own, where="f"))  # noqa: B023


def test_a_thousand_texts_that_differ_by_their_tenant_are_parsed_as_one() -> None:
    text = next(ROOT.glob("rendered/*/tenants/acme/foundation/acme-train/*_dns.yaml")).read_text()
    templates = Templates()
    bodies = [
        templates.documents(text.replace("acme", f"t{number:03}"), where="f", tenant=f"t{number:03}")[0][0]
        for number in range(1000)
    ]
    assert [body["metadata"]["namespace"] for body in bodies] == [f"t{number:03}-train" for number in range(1000)]
    assert len({id(body["spec"]["endpointSelector"]) for body in bodies}) == 1
