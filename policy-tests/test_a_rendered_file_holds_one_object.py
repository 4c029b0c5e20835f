"""What Argo CD would take apart or unfold otherwise than the judge reads it is refused, in every kind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from isolation.manifests.refusals import Refused
from isolation.manifests.refused_inputs import refusals_of
from isolation.manifests.tree import read_tree

OBJECT = "apiVersion: v1\nkind: Service\nmetadata:\n  name: one\n"
OPEN = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: open}\nspec: {endpointSelector: {}}\n"
PLACE = "tenants/acme/foundation/storage/core_service_one.yaml"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A tree of one file of that text; what it is refused for is the same at the first fault and in the list of all."""

    def tree_of(text: str) -> Path:
        (tmp_path / PLACE).parent.mkdir(parents=True)
        (tmp_path / PLACE).write_bytes(text.encode())
        return tmp_path

    return tree_of


def refusal(folder: Path) -> str:
    with pytest.raises(Refused) as refused:
        read_tree(folder)
    found = refusals_of(folder, Refused(where="", at="", why=""))
    assert str(refused.value) in map(str, found)
    return str(refused.value)


def test_one_object_that_names_itself_is_read(write: Write) -> None:
    (document,) = read_tree(write(f"# from: here\n{OBJECT}")).documents
    assert (document.kind, document.name) == ("Service", "one")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{OBJECT}---#x:\n  {OPEN}", "one.yaml:5: '---#x:' begins or ends a document"),
        (f"{OBJECT}---\n{OPEN}", "one.yaml:5: '---' begins or ends a document"),
        (f"{OBJECT}--- # next\n{OPEN}", "begins or ends a document"),
        (f"{OBJECT}---\t\n{OPEN}", "begins or ends a document"),
        (f"{OBJECT}---x: 1\n", "begins or ends a document"),
        (f"---\n{OBJECT}", "one.yaml:1: '---' begins or ends a document"),
        (f"%YAML 1.1\n---\n{OBJECT}", "begins or ends a document"),
        (f"{OBJECT}...\n{OPEN}", "'...' begins or ends a document"),
        (f"{OBJECT}...x: 1\n", "begins or ends a document"),
        (f"{OBJECT}\r---\r{OPEN}", "one.yaml:5: holds a carriage return"),
        (OBJECT.replace("\n", "\r\n"), "one.yaml:1: holds a carriage return"),
        ('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}}', "so Argo CD reads JSON"),
        ("", "holds 0 documents"),
        ("# nothing\n", "holds 0 documents"),
    ],
)
def test_what_another_reader_would_split_is_refused(text: str, why: str, write: Write) -> None:
    assert why in refusal(write(text))


@pytest.mark.parametrize("items", ["items: []", "items: null", "Items: []", f"items: [{{{OPEN.splitlines()[0]}}}]"])
def test_an_object_with_items_is_refused_whatever_its_kind(items: str, write: Write) -> None:
    assert f"one.yaml:5: {items.partition(':')[0]}: is a list" in refusal(write(f"{OBJECT}{items}\n"))


@pytest.mark.parametrize(
    ("was", "is_", "at"),
    [
        ("apiVersion: v1\n", "", "apiVersion: is None"),
        ("v1", "[v1]", "apiVersion: is ['v1']"),
        ("kind: Service\n", "", "kind: is None"),
        ("Service", "{}", "kind: is {}"),
        ("metadata:\n  name: one\n", "", "metadata.name: is None"),
        ("metadata:\n  name: one\n", "metadata: one\n", "metadata.name: is None"),
        ("name: one", "generateName: one-", "metadata.name: is None"),
        ("name: one", "name: 1", "metadata.name: is 1"),
        ("name: one", 'name: ""', "metadata.name: is ''"),
    ],
)
def test_an_object_that_does_not_name_itself_is_refused(was: str, is_: str, at: str, write: Write) -> None:
    assert at in refusal(write(OBJECT.replace(was, is_)))


def test_a_pipe_is_refused_and_never_waited_for(write: Write) -> None:
    folder = write(OBJECT)
    os.mkfifo(folder / "tenants/core_service_pipe.yaml")
    with pytest.raises(Refused, match=r"pipe\.yaml: is no file") as refused:
        read_tree(folder)
    assert refusals_of(folder, refused.value) == (refused.value,)
