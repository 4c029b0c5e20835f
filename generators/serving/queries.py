"""PromQL of a model server's measurements. Every series is held to one namespace, written out."""

from dataclasses import dataclass

from generators import naming
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import Served

HASH = "rollouts_pod_template_hash"  # which pod template a series comes from


@dataclass(frozen=True)
class Series:
    """The series of some pods of one tenant: `where` narrows the namespace to them."""

    metrics: RuntimeMetrics
    namespace: str
    where: str
    window: str = "5m"

    def named(self, metric: str, *matchers: str) -> str:
        """One metric of these pods."""
        inside = ",".join(text for text in (f'namespace="{self.namespace}"', self.where, *matchers) if text)
        return f"{metric}{{{inside}}}"

    def requests(self) -> str:
        """Answered requests of the window, all pods together."""
        return f"sum(increase({self.named(self.metrics.requests, self.metrics.answered)}[{self.window}]))"

    def p95(self, buckets: str) -> str:
        """95th percentile in seconds of a histogram."""
        return f"histogram_quantile(0.95, sum by (le) (rate({self.named(buckets)}[{self.window}])))"

    def error_share(self) -> str:
        """Share of failed answers; no series of failures means none failed, not that nothing is known."""
        failed = self.named(self.metrics.requests, self.metrics.answered, self.metrics.failed)
        every = self.named(self.metrics.requests, self.metrics.answered)
        return f"(sum(rate({failed}[{self.window}])) or vector(0)) / sum(rate({every}[{self.window}]))"


def of_version(served: Served, metrics: RuntimeMetrics, pod_template: str) -> Series:
    """The pods of one pod template, by its hash."""
    return Series(metrics, naming.serving_namespace(served.tenant.id), f'{HASH}="{pod_template}"')


def of_model(served: Served, metrics: RuntimeMetrics) -> Series:
    """All pods of the model, whatever they serve."""
    return Series(metrics, naming.serving_namespace(served.tenant.id), f'model="{served.model}"')
