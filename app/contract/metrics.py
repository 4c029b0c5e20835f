"""Names of what our services measure, on METRICS_PORT as `/metrics`. Alerts and dashboards are rendered from them.

Gauges unless the name ends in `_total`, which is a counter, or is said to be a histogram. Labels stand beside each
name; `tenant` is a tenant id, `service` the process. What comes from the store is told by every watcher alike.
"""

JOBS = "tenon_jobs"  # tenant, state: jobs that are not final, from the store
OLDEST_WAITING = "tenon_oldest_waiting_job_seconds"  # tenant: how long its oldest queued job has waited
COST = "tenon_cost_total"  # tenant, currency: money of finished and running attempts, from the store
DEAD_LETTERS = "tenon_dead_letters"  # messages set aside that nobody has replayed or discarded
LAST_ROUND = "tenon_last_round_timestamp_seconds"  # service: when its loop last ended a round without an outage
ROUNDS = "tenon_rounds_total"  # service, outcome: `done`, or `outage` where a component did not answer
ROUND_SECONDS = "tenon_round_seconds"  # service: histogram of rounds that were done
LAST_WATCH = "tenon_watch_timestamp_seconds"  # service: when the API server was last heard of in a watch
REQUESTS = "tenon_http_requests_total"  # service, route, code: answered requests
REQUEST_SECONDS = "tenon_http_request_seconds"  # service, route: histogram of the time to the answer's head
DELIVERIES = "tenon_webhook_deliveries_total"  # tenant, outcome: delivered, refused, given_up

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of both histograms."""
