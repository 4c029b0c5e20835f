"""Arithmetic below fp32: what runs in it, and the scale that keeps fp16 gradients from vanishing."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_FIRST_SCALE = 2.0**16
_STEPS_BEFORE_RISE = 2000


def computing(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """While it lasts, matrix products run in the precision, whatever the weights are kept in."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


@dataclass(frozen=True)
class LossScale:
    """What the loss is multiplied by before the backward pass, and the gradients divided by after it.

    Halved when a gradient overflows, doubled after 2,000 steps without. Source: Micikevicius et al., Mixed Precision
    Training, section 3.2.
    """

    value: float = 1.0
    good_steps: int = 0

    @classmethod
    def of(cls, precision: str) -> "LossScale":
        """bf16 has the exponents of fp32 and needs none."""
        return cls(_FIRST_SCALE if precision == "fp16" else 1.0)

    @property
    def may_fall(self) -> bool:
        """Whether an overflow may be the scale's fault."""
        return self.value > 1.0

    def after(self, *, overflowed: bool) -> "LossScale":
        if self.value == 1.0 and self.good_steps == 0 and not overflowed:
            return self
        if overflowed:
            return LossScale(max(self.value / 2, 1.0), 0)
        if self.good_steps + 1 == _STEPS_BEFORE_RISE:
            return LossScale(self.value * 2, 0)
        return LossScale(self.value, self.good_steps + 1)
