"""What a model on Ray Serve has not, because KubeRay would not heed it."""

from app.contract.models import Stage
from generators.tests.samples import record, version
from generators.tests.served import served


def test_a_ray_service_has_neither_a_budget_nor_an_analysis_that_nothing_would_heed() -> None:
    kinds = {
        kind for _, kind, _ in served(record(version("replies-a", Stage.STABLE), runtime="ray", strategy="blueGreen"))
    }
    assert "RayService" in kinds
    assert kinds.isdisjoint({"AnalysisTemplate", "PodDisruptionBudget", "Rollout"})
    assert {"PodMonitor", "PrometheusRule"} <= kinds
