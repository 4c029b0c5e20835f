"""A tree that is open everywhere: what was not kept of the counter-examples is counted wherever they are told."""

from dataclasses import replace
from pathlib import Path

import pytest
from isolation.proof import Proof
from isolation.results import CounterExample, Result

from tenon.__main__ import main
from tenon.flow_changes import Compared, Judged
from tenon.proof_documents import json_of, sarif_of

FILE = "tenants/acme/foundation/open.yaml"
RESULT = Result("apart", "a claim", 9, (CounterExample("pod", "is open", by=(f"{FILE}:4 spec",)),), more=2_339)
PROOF = Proof(("acme",), 1, 0, 9, {"network": (RESULT,)}, homes={"pod": FILE})


def test_machines_get_the_number_of_all() -> None:
    (cluster,) = json_of({Path("eu1"): PROOF}, explained=False)["clusters"].values()
    told = cluster["invariants"]["apart"]
    assert (told["found"], len(told["broken"]), cluster["holds"]) == (2_340, 1, False)


def test_code_scanning_gets_a_result_that_counts_the_others(tmp_path: Path) -> None:
    results = sarif_of(tmp_path, {tmp_path: PROOF})["runs"][0]["results"]
    assert [each["message"]["text"] for each in results] == ["pod: is open", "and 2,339 more, 2,340 in all"]


def test_people_get_the_number_of_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("isolation.proof.prove", lambda _folder, **_: PROOF)
    options = ["prove", str(Path(__file__).parent)]

    assert main(options) == 1
    said = capsys.readouterr()
    assert "BROKEN 2,340" in said.out
    assert "apart: and 2,337 more; --json has the first 1" in said.err


def test_a_change_that_opens_more_of_what_was_not_kept_breaks_the_invariant() -> None:
    wider = replace(PROOF, groups={"network": (replace(RESULT, more=2_340),)})
    assert not Compared("eu1", Judged(proof=PROOF), Judged(proof=PROOF)).breaks
    assert Compared("eu1", Judged(proof=PROOF), Judged(proof=wider)).breaks == [
        ("eu1", "breaks apart", "and 2,340 more counter-examples")
    ]
