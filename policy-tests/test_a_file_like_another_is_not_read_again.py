"""Files that differ from one read before in the tenant's id only are filled in; any other difference is seen."""

import re
import shutil
from pathlib import Path

import pytest
from differential.marked_texts import IDS, PIECES, TEXTS, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.samples import Sample, Samples
from isolation.manifests.shapes import KINDS, reduced
from isolation.manifests.templates import Object, Templates
from isolation.manifests.tree import Document, read_tree
from isolation.proof import prove

ROOT = Path(__file__).parents[1]
FIRST, ALIKE = "t000", ("kiwi", "lemon", "nova", "pear-tree")
NAMED = {kind.lower() for kind in KINDS}

# What every reader takes for something else than the file says by its letters.
SPELT = (
    'a: "\\x71' + "q" * 31 + '-train"',
    'a: "\\u0078' + "x" * 6 + '0"',
    'a: "' + "q" * 16 + "\\\n  " + "q" * 16 + '-train"',
)
OBJECT = "apiVersion: {group}\nkind: Service\nmetadata:\n  name: one\n  namespace: {id}-train\n{more}"


def text_of(document: Document) -> str:
    return Path(document.file).read_text()


def policy_files() -> list[Path]:
    """Of the sample tenant, what a proof of another reads."""
    (tenants,) = ROOT.glob("rendered/*/tenants")
    return sorted(path for path in (tenants / "acme").rglob("*.yaml") if path.name.split("_")[1] in NAMED)


def grown(folder: Path, tenants: tuple[str, ...]) -> Path:
    """A tree of the platform and the sample tenant's policies under these ids."""
    (cluster,) = (path for path in (ROOT / "rendered").iterdir() if path.is_dir())
    shutil.copytree(cluster / "platform", folder / "platform")
    for tenant in tenants:
        for path in policy_files():
            target = folder / str(path.relative_to(cluster)).replace("acme", tenant)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text().replace("acme", tenant))
    return folder


def with_one_other_letter(text: str, number: int) -> str:
    """Of some value behind the kind, the last letter or digit is the next in its alphabet."""
    values = re.finditer(r"(?<=[:-] )[\"A-Za-z0-9./:*-]*[A-Za-z0-9]", text)
    ends = [found.end() - 1 for found in values if found.start() > text.index("\nmetadata:")]
    at = ends[number % len(ends)]
    return text[:at] + {"z": "a", "Z": "A", "9": "0"}.get(text[at], chr(ord(text[at]) + 1)) + text[at + 1 :]


@pytest.mark.requirement("A24")
def test_each_tenant_of_whom_one_policy_differs_in_one_letter_is_judged_itself(tmp_path: Path) -> None:
    files = policy_files()
    changed = [f"t{number:03}" for number in range(1, len(files) + 1)]
    grown(tmp_path, (*changed, *ALIKE))
    for number, (tenant, path) in enumerate(zip(changed, files, strict=True)):
        (file,) = tmp_path.rglob(str(path.relative_to(path.parents[2])).replace("acme", tenant))
        file.write_text(with_one_other_letter(file.read_text(), number))
    part = reduced(read_tree(tmp_path, only=(FIRST,), kinds=KINDS), most=3)
    assert len(files) > 25
    assert {name for members in part.alike.values() for name in members} == set(ALIKE)
    assert set(changed) < set(part.judged)


def test_one_policy_among_many_that_opens_to_everyone_breaks_the_proof_of_another_tenant(tmp_path: Path) -> None:
    grown(tmp_path, tuple(f"t{number:03}" for number in range(12)))
    before = prove(tmp_path, only=(FIRST,)).broken
    (policy,) = tmp_path.rglob("t007-serve/cilium.io_ciliumnetworkpolicy_requests.yaml")
    opened = policy.read_text().replace("fromEndpoints:", "fromEntities: [cluster]\n  - fromEndpoints:", 1)
    policy.write_text(opened)
    after = prove(tmp_path, only=(FIRST,)).broken
    assert {result.name for result in after} - {result.name for result in before} >= {"apart"}


def test_each_of_many_documents_is_what_its_own_parse_gives(tmp_path: Path) -> None:
    tree = read_tree(grown(tmp_path, (FIRST, "abad1dea", "x41", *ALIKE)))
    own = [next(read_documents(text_of(each), where=each.file)) for each in tree.documents]
    assert [(each.body, each.lines) for each in tree.documents] == own
    assert sum(each.template is not None for each in tree.documents) > len(policy_files()) * len(ALIKE)


def test_an_id_that_is_no_string_without_quotes_is_not_filled_in_as_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"tenants/null/.*: metadata.labels: is no mapping of texts"):
        read_tree(grown(tmp_path, (FIRST, *ALIKE, "null")))


def read_as_a_tree_does(samples: Samples, text: str, tenant: str) -> list[Object]:
    """Of one file after others, without the checks that hold for all of a kind."""
    sample = samples.like(text, tenant)
    if sample is not None:
        return [sample.template.of(tenant)]
    read, template = Templates().read(text, where="f", tenant=tenant)
    if template is not None:
        samples.keep(text, tenant, Sample(template, ""))
    return read


@pytest.mark.parametrize("text", [f"apiVersion: v1\nkind: A\nb:\n  {text}" for text in TEXTS])
def test_whoever_comes_first_the_next_tenant_gets_what_its_file_says(text: str) -> None:
    samples = Samples()
    for tenant in (*IDS, *reversed(IDS)):
        own = text.format(id=tenant)
        made = outcome(lambda: read_as_a_tree_does(samples, own, tenant))  # noqa: B023
        assert made == outcome(lambda: read_documents(own, where="f")), tenant  # noqa: B023


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=10), ids=st.permutations(IDS))
def test_a_file_of_any_pieces_is_filled_in_as_it_is_parsed(pieces: list[str], ids: list[str]) -> None:
    samples, text = Samples(), "apiVersion: v1\nkind: A\nk: " + "".join(pieces)
    for tenant in ids[:4]:
        own = text.format(id=tenant)
        made = outcome(lambda: read_as_a_tree_does(samples, own, tenant))  # noqa: B023
        assert made == outcome(lambda: read_documents(own, where="f"))  # noqa: B023


@pytest.mark.parametrize("text", SPELT)
def test_letters_that_are_spelt_otherwise_make_no_mark(text: str) -> None:
    made = Templates().documents(text, where="f", tenant="acme")
    assert made == list(read_documents(text, where="f"))


def test_what_argo_cd_passes_over_is_refused_in_the_second_file_too(tmp_path: Path) -> None:
    """Its sign is made of words that are ids as well."""
    for tenant in ("acme", "file"):
        file = tmp_path / f"tenants/{tenant}/foundation/{tenant}/core_service_one.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(OBJECT.format(group="v1", id=tenant, more=f"# +argocd:skip-{tenant}-rendering\n"))
    with pytest.raises(Refused, match=r"tenants/file.*Argo CD passes it over"):
        read_tree(tmp_path)


def test_a_kind_that_is_a_tenants_id_is_asked_for_in_each_files_name(tmp_path: Path) -> None:
    for tenant in ("acme", "nova"):
        file = tmp_path / f"tenants/{tenant}/foundation/{tenant}/acme_service_one.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(OBJECT.format(group=f"{tenant}/v1", id=tenant, more=""))
    with pytest.raises(Refused, match="holds a Service of group nova, which its name does not say"):
        read_tree(tmp_path)
