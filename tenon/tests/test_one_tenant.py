"""A cluster of one tenant has no pair of tenants; everything else is still asked, and an empty answer is no proof."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from isolation.proof import NETWORK, Proof
from isolation.results import Result

from tenon.__main__ import main
from tenon.prove import _conclude

ASKED = Result("closed", "all is closed", 3, ())
NOTHING = replace(ASKED, asked=0)


def test_one_tenant_is_proved_and_the_missing_pair_said_in_words(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tenant in ("globex", "initech"):
        (root / "tenants" / f"{tenant}.yaml").unlink()
        shutil.rmtree(root / "tenants" / tenant, ignore_errors=True)
    assert main(["render", "--root", str(root)]) == 0
    capsys.readouterr()
    code = main(["prove", "--root", str(root)])
    said = capsys.readouterr().err
    for name in ("apart", "names"):
        assert f"{name}: there is one tenant, so there is no other to be kept apart from" in said
    assert "proved: 1 tenant, 0 ordered pairs" in said
    assert code == 0


@pytest.mark.parametrize(("result", "holds"), [(ASKED, True), (NOTHING, False), (replace(NOTHING, vacuous="x"), True)])
def test_an_answer_without_questions_holds_only_where_nothing_could_break_it(result: Result, *, holds: bool) -> None:
    assert result.holds is holds
    assert bool(result.remark) is (result.asked == 0)


def test_an_invariant_that_asked_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    proof = Proof(("acme", "globex"), 1, 2, 0, {NETWORK: (ASKED,), "rights": (NOTHING,)})
    _conclude({Path("rendered/eu1"): proof})
    said = capsys.readouterr().err
    assert "closed: asked nothing, which shows nothing; the tree lacks what it is about\nNOT proved: 2 tenants" in said
