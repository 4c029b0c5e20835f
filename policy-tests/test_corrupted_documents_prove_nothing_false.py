"""Corrupted documents: refused, noticed, or without effect; never a crash, never a proof that is not one.

`TENON_FUZZ` multiplies how many are tried (10,000 documents by default).
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from isolation.answers.open_flows import open_flows
from isolation.classes.cluster import Cluster, cluster_of
from isolation.classes.pod_classes import CLUSTER
from isolation.classes.profile import read_fields
from isolation.manifests.files import MAX_FILE_BYTES
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused, shaped_as_its_kind
from isolation.manifests.tree import Document, Tree, read_tree
from isolation.objects.groups import GROUPS
from isolation.policies.parsing import POLICY_KINDS, parse_policy, refuse_other_kinds
from isolation.proof import INVARIANTS, prove, prove_tree
from mutation.corruption import corrupted

TIMES = int(os.environ.get("TENON_FUZZ", "1"))
READ, PROVED = 10_000 * TIMES, 300 * TIMES
WHOLE = 10  # of so many one is put to every invariant
CHUNKS = 10
LONGEST_SECONDS = 5  # one document, on a machine that is busy with others


def sets_cilium_up(document: Document) -> bool:
    """What it says every verdict rests on, so that whatever else it says is noticed."""
    return document.kind == "ConfigMap" and document.name == "cilium-values"


def describes_the_cluster(document: Document) -> bool:
    """Addresses of its nodes are the operator's word, so that a proof about others is no false one."""
    return document.kind == "ConfigMap" and document.name == "cluster-profile"


# Whose documents are drawn; each group as often as the others.
READ_BY_THE_PROOF: tuple[Callable[[Document], bool], ...] = (
    lambda document: document.kind in POLICY_KINDS,
    lambda document: document.kind in {"Namespace", "ServiceAccount"},
    lambda document: document.kind in {"Service", "Deployment", "Application"},
    sets_cilium_up,
    describes_the_cluster,
)
# Most of what is wrong shows in the first, and nearly all of it before the last.
FIRST = frozenset(
    {"settings", "accepted", "sync_options", "object_metadata", "pod_security", "delivery", "default_deny"}
)
COSTLY = frozenset(
    {"no_bypass", "one_proxy", "ports", "own_names", "offboarding", "metadata", "node_ports"}
    | {"alive", "resolvers", "apart", "accounted", "closed", "effective"}
)


def policies(tree: Tree) -> list[Document]:
    return list(tree.of_kind(*POLICY_KINDS))


def read_again(document: Document, data: bytes) -> Iterator[Document]:
    """As read_tree reads a file. Raises Refused."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(where=document.file, at="", why="is no UTF-8 text") from error
    for body, lines in read_documents(text, where=document.file):
        yield replace(document, body=body, lines=lines)


def refusal(document: Document, data: bytes) -> Refused | None:
    """Why the document's file is refused with this text in it; None when it is understood."""
    try:
        for found in read_again(document, data):
            if found.kind in POLICY_KINDS:
                parse_policy(found, cluster=CLUSTER)
    except Refused as fault:
        return fault
    return None


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_ten_thousand_corrupted_documents_are_read_or_refused_in_bounded_time(chunk: int, tree: Tree) -> None:
    draw = Random(chunk)
    texts = [(document, Path(document.file).read_bytes()) for document in policies(tree)]
    refused = 0
    for _ in range(READ // CHUNKS):
        document, data = draw.choice(texts)
        made, began = corrupted(data, draw), time.process_time()
        if (fault := refusal(document, made)) is not None:
            assert fault.where.startswith(document.file), made
            assert fault.why, made
            refused += 1
        assert time.process_time() - began < LONGEST_SECONDS, made
    assert 0 < refused < READ // CHUNKS


@dataclass(frozen=True)
class Judged:
    """A tree, of which only as much is proved as a test needs."""

    tree: Tree

    @cached_property
    def cluster(self) -> Cluster:
        refuse_other_kinds(self.tree)
        return cluster_of(self.tree)

    @cached_property
    def flows(self) -> list[str]:
        return [str(flow) for flow in open_flows(self.cluster)]

    def is_broken(self, *, costly: bool) -> bool:
        """Whether one of the costly invariants does not hold, or one of the others."""
        asks = {ask.__name__: partial(ask, self.cluster) for ask in INVARIANTS}
        asks |= {ask.__name__: partial(ask, self.cluster.inventory) for group in GROUPS.values() for ask in group}
        named = sorted((name for name in asks if (name in COSTLY) == costly), key=lambda name: name not in FIRST)
        return any(not asks[name]().holds for name in named)


@dataclass(frozen=True)
class Corrupted:
    """One document, and what stands in its file instead."""

    document: Document
    instead: Document

    def __str__(self) -> str:
        return f"{self.document.file}: {self.instead.body}"

    def outcome(self, tree: Tree, flows_before: list[str], *, asks_all: bool) -> str:
        """What the judge makes of the tree with it. asks_all: also what nothing hangs on any more, because no other
        invariant breaks and everything is open that was open before."""
        others = (each for each in tree.documents if each is not self.document)
        after = Judged(Tree((*others, self.instead)))
        try:
            with shaped_as_its_kind():
                is_broken = after.is_broken(costly=False)
                is_equal = is_broken or (after.flows == flows_before and not self._must_be_noticed())
                if not is_broken and (asks_all or not is_equal):
                    is_broken = after.is_broken(costly=True)
        except Refused:
            return "refused"
        return "noticed" if is_broken else "equal" if is_equal else "missed"

    def _must_be_noticed(self) -> bool:
        return sets_cilium_up(self.document) and read_fields(self.instead) != read_fields(self.document)


def corrupted_documents(tree: Tree, folder: Path, draw: Random) -> Iterator[Corrupted]:
    """Of every kind alike often; a text that is refused when it is read, or says what it said before, is drawn anew.

    folder: where each is written and read, as if it were the only file of a tree.
    """
    groups = [[each for each in tree.documents if is_drawn(each)] for is_drawn in READ_BY_THE_PROOF]
    while True:
        document = draw.choice(draw.choice(groups))
        file = folder.joinpath(*document.place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(corrupted(Path(document.file).read_bytes(), draw))
        with suppress(Refused):
            (found,) = read_tree(folder).documents
            if found.body != document.body:
                yield Corrupted(document, found)
        file.unlink()


@pytest.fixture
def parsed_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A policy that is not the corrupted one says in each tree what it said in the last."""
    remembered = cache(parse_policy)
    monkeypatch.setattr("isolation.classes.cluster.parse_policy", remembered)
    yield
    assert remembered.cache_info().hits


@pytest.mark.usefixtures("parsed_once")
def test_a_corrupted_document_is_refused_or_noticed_or_changes_no_verdict(pair: Tree, tmp_path: Path) -> None:
    before, found = Judged(pair).flows, Counter[str]()
    for number, made in enumerate(islice(corrupted_documents(pair, tmp_path, Random(5)), PROVED)):
        found[said := made.outcome(pair, before, asks_all=number % WHOLE == 0)] += 1
        assert said != "missed", str(made)
    assert min(found[said] for said in ("refused", "noticed", "equal"))


def test_an_object_of_another_shape_than_its_kind_is_refused_and_no_crash(pair: Tree) -> None:
    operator = pair.one("Application", "argocd", "addon-gpu-operator")
    with pytest.raises(Refused, match="another type than its kind wants"):
        prove_tree(pair.changed(operator, lambda body: body.update(spec="text")))


@pytest.mark.parametrize("key", ["labels", "annotations"])
@pytest.mark.parametrize("value", ["text", "[a]", "{a: 1}", "{a: null}"])
def test_metadata_that_no_cluster_takes_is_refused_with_its_place(key: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "core_configmap_a.yaml"
    file.write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  {key}: {value}\n")
    with pytest.raises(Refused, match=rf"a.yaml:5: metadata.{key}: is no mapping of texts"):
        prove(tmp_path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a: " + b"[" * 100_000, "nested deeper than"),
        (b"- " * 100_000 + b"a", "nested deeper than"),
        (b"a: " + b"{a: " * 100_000, "nested deeper than"),
        (b"a: &a [*a]", "anchor"),
        (b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a]\n" % (n, n) for n in range(40)), "anchor"),
        (b"a: " + b"9" * 100_000, "is read differently"),
        (b"a: 1e5", "is read differently"),
        (b"a: \0", "is no YAML"),
        (b"\xef\xbb\xbfa: 1", "U+FEFF"),
        (b"a: b\xe2\x80\xa8c: d", "U+2028"),
        (b"a: \xff", "is no UTF-8 text"),
        (b"a: b\na: c", "stands twice"),
        (b"a: !x {b: c}", "has the tag !x"),
        (b"#" * (50 << 20), "is larger than"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else "",
)
def test_what_would_exhaust_a_reader_is_refused_with_its_file_and_reason(data: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "core_configmap_a.yaml"
    file.write_bytes(data)
    began = time.process_time()
    with pytest.raises(Refused) as refused:
        prove(tmp_path)
    assert why in str(refused.value)
    assert str(refused.value).startswith(str(file))
    assert len(str(refused.value)) < 1000
    assert time.process_time() - began < LONGEST_SECONDS


def test_a_file_over_the_bound_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "core_configmap_a.yaml").touch()
    os.truncate(tmp_path / "core_configmap_a.yaml", 1 << 40)
    with pytest.raises(Refused, match=f"is larger than {MAX_FILE_BYTES}"):
        prove(tmp_path)


def test_a_file_whose_name_says_another_kind_is_refused(tmp_path: Path) -> None:
    """A proof of one tenant reads other tenants' files by their names."""
    (tmp_path / "core_configmap_a.yaml").write_text(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n"
    )
    with pytest.raises(Refused, match="which its name does not say"):
        prove(tmp_path)
