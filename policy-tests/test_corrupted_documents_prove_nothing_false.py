"""Corrupted documents: refused, noticed, or without effect; never a crash, never a proof that is not one.

`TENON_FUZZ` multiplies how many are tried (10,000 documents by default).
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from isolation.answers.open_flows import open_flows
from isolation.classes.cluster import Cluster, cluster_of
from isolation.classes.pod_classes import CLUSTER
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import MAX_FILE_BYTES, Document, Tree
from isolation.policies.parsing import POLICY_KINDS, parse_policy
from isolation.proof import INVARIANTS, prove

TIMES = int(os.environ.get("TENON_FUZZ", "1"))
READ, PROVED = 10_000 * TIMES, 12 * TIMES
CHUNKS = 10
LONGEST_SECONDS = 5  # one document, on a machine that is busy with others

WORDS = (
    b"null", b"true", b"yes", b"{}", b"[]", b"''", b"*", b"&a", b"*a", b"!!python/object:x", b"<<", b"- ", b": ", b"? ",
    b"|", b">", b"%", b"---\n", b"...\n", b"\0", b"\xff", b"\xef\xbb\xbf", "\u2028\u202e\u00a0".encode(), b"1e999",
    b"9" * 400, b"-1", b"0x1f", b"0o17", b"2026-01-01", b"[" * 200, b"{a: " * 90, b"- " * 300, b"\t", b"\r", b"#", b'"',
)  # fmt: skip
Corruption = Callable[[bytes, Random], bytes]


def flipped(data: bytes, draw: Random) -> bytes:
    made = bytearray(data)
    for _ in range(1 + draw.randrange(3)):
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(data: bytes, draw: Random) -> bytes:
    return data[: draw.randrange(len(data))]


def written_into(data: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.choice(WORDS) + data[at + draw.randrange(4) :]


def with_lines(data: bytes, draw: Random) -> bytes:
    """A line twice, gone, moved, or indented otherwise."""
    lines = data.split(b"\n")
    at, to = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(4)
    if change == 0:
        lines.insert(at, lines[at])
    elif change == 1:
        del lines[at]
    elif change == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = b"  " + lines[at] if draw.random() < 0.5 else lines[at].removeprefix(b"  ")
    return b"\n".join(lines)


def with_another_value(data: bytes, draw: Random) -> bytes:
    lines = data.split(b"\n")
    at = draw.choice([number for number, line in enumerate(lines) if b":" in line] or [0])
    lines[at] = lines[at].partition(b":")[0] + b": " + draw.choice(WORDS)
    return b"\n".join(lines)


CORRUPTIONS: tuple[Corruption, ...] = (flipped, cut, written_into, with_lines, with_another_value)


def corrupted(data: bytes, draw: Random) -> bytes:
    for _ in range(1 + draw.randrange(2)):
        data = draw.choice(CORRUPTIONS)(data or b"a: b", draw)
    return data


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


def answers(cluster: Cluster) -> tuple[list[str], set[str]]:
    broken = {ask.__name__ for ask in INVARIANTS if not ask(cluster).holds}
    return [str(flow) for flow in open_flows(cluster)], broken


def test_a_corrupted_policy_is_refused_or_noticed_or_changes_no_verdict(pair: Tree) -> None:
    draw = Random(5)
    before, broken_before = answers(cluster_of(pair))
    tried = {"refused": 0, "noticed": 0, "equal": 0}
    while sum(tried.values()) < PROVED:
        document = draw.choice(policies(pair))
        try:
            found = list(read_again(document, corrupted(Path(document.file).read_bytes(), draw)))
            if [each.body for each in found] == [document.body]:
                continue  # a comment, or the header
            others = [each for each in pair.documents if each is not document]
            after, broken = answers(cluster_of(Tree((*others, *found))))
        except Refused:
            tried["refused"] += 1
            continue
        assert broken > broken_before or after == before, [each.body for each in found]
        tried["noticed" if broken > broken_before else "equal"] += 1
    assert tried["refused"]


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
    (tmp_path / "core_configmap_a.yaml").write_text("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n")
    with pytest.raises(Refused, match="which its name does not say"):
        prove(tmp_path)
