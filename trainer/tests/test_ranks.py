import json
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.durability.ranks import joined, partners
from trainer.launch import together
from trainer.outcomes import BadInput, Unavailable
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.tests.conftest import TOY_RECIPE, MakeSettings
from trainer.tests.dying import Death, Surroundings, exit_code, start
from trainer.tests.s3 import free_ports

SLOW = pytest.mark.model  # another of the same claim, which CI alone asks for
METHODS = {
    "ddp": "parallel: ddp\n",
    "fsdp2": "parallel: fsdp2\n",
    "whole": "method: full\nparallel: fsdp2\nlearningRate: 0.001\n",
    "preferred": "objective: dpo\nparallel: fsdp2\nwidth: 128\n",
}


@pytest.fixture
def recipe(recipes: Path) -> Callable[[str], str]:
    """A toy recipe of more, under a name of its own; the batch is odd, so that ranks run out of rows unlike."""

    def write(name: str) -> str:
        lines = [
            line for line in TOY_RECIPE.splitlines() if not line.startswith(("batchRows", "learningRate", "width"))
        ]
        rate = "" if "learningRate" in METHODS[name] else "learningRate: 0.01\n"
        rate += "" if "width" in METHODS[name] else "width: 96\n"
        text = "\n".join(lines) + f"\nbatchRows: 3\nevaluateSteps: 3\n{rate}{METHODS[name]}"
        (recipes / f"toy-{name}.yaml").write_text(text)
        return f"toy-{name}"

    return write


def _trained(settings: Settings, recipes: Path, *, ranks: int, death: Death | None = None, dying: int = 0) -> list[int]:
    """Exit codes of `train` by so many ranks, one of them dying."""
    (port,) = free_ports(1)
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        start(
            "train",
            settings,
            recipes,
            death if death and rank == dying else Death(),
            around=Surroundings({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"}),
        )
        for rank in range(ranks)
    ]
    return [exit_code(process) for process in processes]


def _lines(settings: Settings, figure: str = "loss") -> list[float]:
    text = (Path(settings.attempt_url) / "metrics.jsonl").read_text()
    return [line[figure] for line in map(json.loads, text.splitlines()) if figure in line]


def _report(settings: Settings) -> Report:
    return Report.model_validate(json.loads((Path(settings.attempt_url) / "report.json").read_text()))


def _pairs(folder: Path) -> dict[str, str]:
    """Files of rows of which the answer that reads forwards is preferred."""
    files = {}
    for part, first, number in (("data", 0, 30), ("evaluation", 100, 6)):
        turns = [row["messages"] for row in toy.rows(number, first=first)]
        rows = [
            {"prompt": ask["content"], "chosen": answer["content"][:40], "rejected": answer["content"][:40][::-1]}
            for ask, answer in turns
        ]
        files[part] = str(toy.write_rows(folder / f"{part}-pairs.jsonl", rows))
    return files


@pytest.mark.requirement("D66")
@pytest.mark.parametrize("name", ["ddp", "fsdp2", *(pytest.param(name, marks=SLOW) for name in ("whole", "preferred"))])
def test_two_ranks_lose_what_one_loses(
    make_settings: MakeSettings, recipes: Path, recipe: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    files = _pairs(tmp_path) if name == "preferred" else {}
    one, two = (make_settings(folder, recipe=recipe(name), **files) for folder in ("one", "two"))
    for settings in (one, two):
        run_step("prepare", settings, Sinks())

    assert _trained(one, recipes, ranks=1) == [Exit.DONE]
    assert _trained(two, recipes, ranks=2) == [Exit.DONE, Exit.DONE]

    assert _lines(two) == pytest.approx(_lines(one), rel=1e-5)
    assert _lines(two, "gradNorm") == pytest.approx(_lines(one, "gradNorm"), rel=1e-4)
    assert _lines(two, "evalLoss") == pytest.approx(_lines(one, "evalLoss"), rel=1e-5)
    assert _report(two).world_size == 2
    assert len(_lines(two)) == _report(two).steps
    assert _lines(two)[-1] < _lines(two)[0]


@pytest.mark.requirement("D66", "E78")
@pytest.mark.parametrize(("first", "then"), [(2, 1), pytest.param(1, 2, marks=SLOW)])
def test_a_training_goes_on_with_another_number_of_ranks(
    make_settings: MakeSettings, recipes: Path, recipe: Callable[[str], str], first: int, then: int
) -> None:
    straight, broken = (make_settings(folder, recipe=recipe("fsdp2")) for folder in ("straight", "broken"))
    for settings in (straight, broken):
        run_step("prepare", settings, Sinks())

    assert _trained(straight, recipes, ranks=1) == [Exit.DONE]
    assert set(_trained(broken, recipes, ranks=first, death=Death("step", 3, SIGTERM))) == {Exit.STOPPED}
    assert _report(broken).steps == 3
    assert set(_trained(broken, recipes, ranks=then)) == {Exit.DONE}

    assert _report(broken).resumed_from == 3
    assert _lines(broken) == pytest.approx(_lines(straight), rel=1e-5)


def test_a_rank_that_waits_for_one_that_was_killed_fails(
    make_settings: MakeSettings, recipes: Path, recipe: Callable[[str], str]
) -> None:
    settings = make_settings(recipe=recipe("fsdp2"))
    run_step("prepare", settings, Sinks())
    death = Death("micro-step", 3, SIGKILL)

    assert _trained(settings, recipes, ranks=2, death=death, dying=1) == [Exit.FAILED, -SIGKILL]


def test_a_lost_connection_is_told_from_a_fault_of_ours() -> None:
    with pytest.raises(Unavailable, match=r"another rank of the training has gone .* closed by peer"), partners():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]")
    with pytest.raises(RuntimeError, match="shapes"), partners():
        raise RuntimeError("shapes do not fit")


def test_whole_weights_on_several_ranks_need_fsdp2(make_settings: MakeSettings, recipes: Path) -> None:
    (recipes / "toy-full.yaml").write_text(TOY_RECIPE + "method: full\n")
    settings = make_settings(recipe="toy-full")
    run_step("prepare", settings, Sinks())

    codes = _trained(settings, recipes, ranks=2)  # the first to refuse may leave before the other has come
    assert together(codes) == Exit.BAD_INPUT


GIVEN = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    "change",
    [{"RANK": "x"}, {"RANK": "2"}, {"WORLD_SIZE": ""}, {"MASTER_ADDR": ""}, {"MASTER_PORT": "x"}, {"LOCAL_RANK": "-1"}],
)
def test_an_environment_that_names_no_rank_is_bad_input(change: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="start it without RANK, or under torchrun"), joined({**GIVEN, **change}):
        pass
