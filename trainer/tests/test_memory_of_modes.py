"""The four ways to tune one model on the same batch, as the memory bench runs them; peaks need their own processes."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.memory import MODES, made, measured


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The bench, a process of its own, silences the libraries and makes its base in bf16."""
    logs, numbers = logging.root.manager.disable, torch.get_default_dtype()
    yield
    logging.disable(logs)
    torch.set_default_dtype(numbers)


@pytest.mark.requirement("C50")
@pytest.mark.usefixtures("unchanged")
def test_the_four_modes_hold_less_and_less_of_one_model_on_one_batch(tmp_path: Path) -> None:
    base = made(tmp_path / "base", "toy")

    runs = {mode: measured(mode, base, rows=1, width=64) for mode in MODES}

    every, lora, recomputed, qlora = (runs[mode] for mode in MODES)
    assert every["weightBytes"] == 2 * lora["weightBytes"]
    assert recomputed["weightBytes"] == lora["weightBytes"]
    assert qlora["weightBytes"] < 0.75 * lora["weightBytes"]  # its embeddings, nearly half of the toy, keep 16 bits
    assert every["estimatedBytes"] > lora["estimatedBytes"] > recomputed["estimatedBytes"]
    assert qlora["estimatedBytes"] < lora["estimatedBytes"]
    assert qlora["loss"] == pytest.approx(lora["loss"], rel=0.01)
    assert recomputed["loss"] == lora["loss"]
