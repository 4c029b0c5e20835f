"""Without a server: every rendered object has only fields that its kind has, of the right type."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from controlplane.documents import Document, document, read_documents
from controlplane.embedded import embedded
from controlplane.offline import cached_crds, faults, misfits, model, schema

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def objects() -> Sequence[Document]:
    """The committed tree, with the objects and pods inside its objects."""
    (folder,) = (path for path in (ROOT / "rendered").iterdir() if path.is_dir())
    documents = read_documents(folder)
    return [*documents, *(inner for outer in documents for inner in embedded(outer))]


def test_built_in_kinds_fit_the_models_of_the_kubernetes_client(objects: Sequence[Document]) -> None:
    tried = [(each, found) for each in objects if (found := model(each.kind))]
    assert len(tried) > 100
    assert not [fault for each, found in tried for fault in faults(each, found)]


def test_custom_kinds_fit_the_schema_of_their_crd_where_a_copy_is_cached(objects: Sequence[Document]) -> None:
    custom = [each for each in objects if model(each.kind) is None]
    tried = [each for each in custom if each.kind in cached_crds()]
    if not tried:
        pytest.skip("the Go module cache holds no CRDs; `make test-apiserver` fetches them")
    assert not [f"{each.origin}{fault}" for each in tried for fault in misfits(each.body, schema(each.kind))]


def test_a_misspelt_field_of_a_built_in_kind_is_noticed() -> None:
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x"}}
    found = model(("networking.k8s.io/v1", "NetworkPolicy"))
    assert found
    assert faults(document(policy | {"spec": {"podSelector": {}, "egres": []}}), found)


SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["weight"],
            "properties": {
                "weight": {"type": "integer"},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "port": {"x-kubernetes-int-or-string": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    },
}
SOUND = {"weight": 1, "mode": "a", "port": "http", "labels": {"x": "y"}, "any": {"thing": [1]}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, []),
        ({"wieght": 1}, [".spec.wieght: is no field"]),
        ({"weight": "1"}, [".spec.weight: '1' is no integer"]),
        ({"weight": True}, [".spec.weight: True is no integer"]),
        ({"mode": "c"}, [".spec.mode: 'c' is none of a, b"]),
        ({"labels": {"x": 1}}, [".spec.labels.x: 1 is no string"]),
    ],
)
def test_a_schema_is_held_to_fields_types_and_words(change: dict[str, object], fault: list[str]) -> None:
    assert list(misfits({"apiVersion": "v1", "kind": "X", "spec": SOUND | change}, SCHEMA)) == fault


def test_a_missing_field_is_noticed() -> None:
    assert list(misfits({"spec": {}}, SCHEMA)) == [".spec.weight: is missing"]
