"""Money: one formula for the forecast, the ledger and `tenon diff`. Prices come from platform.yaml."""

from decimal import Decimal

from pydantic import Field

from app.contract.wire import Wire
from trainer.contract.report import Usage

SECONDS_PER_HOUR = 3600


class Prices(Wire):
    """Per hour, in one currency."""

    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    cpu_hour: Decimal = Field(Decimal("0.04"), ge=0)
    gpu_hour: Decimal = Field(Decimal(0), ge=0, description="of the flavor the job ran on")


class Cost(Wire):
    """An amount, rounded to a hundredth of a cent."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:.4f} {self.currency}"


def cost_of(usage: Usage, prices: Prices) -> Cost:
    """Cost = CPU hours x price + GPU hours x price; usage ends with the attempt, never with "now"."""
    cpu = Decimal(str(usage.cpu_seconds)) / SECONDS_PER_HOUR * prices.cpu_hour
    gpu = Decimal(str(usage.gpu_seconds)) / SECONDS_PER_HOUR * prices.gpu_hour
    return Cost(amount=(cpu + gpu).quantize(Decimal("0.0001")), currency=prices.currency)
