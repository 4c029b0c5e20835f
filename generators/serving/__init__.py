"""How a model record is served: Rollout, analysis, route, one file per runtime."""
