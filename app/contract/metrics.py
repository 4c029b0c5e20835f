"""Names of what our services measure, on METRICS_PORT as `/metrics`. Alerts and dashboards are rendered from them.

Gauges unless the name ends in `_total`, which is a counter. Labels stand beside each name; `tenant` is a tenant id.
"""

JOBS = "tenon_jobs"  # tenant, state: jobs that are not final, from the store
OLDEST_WAITING = "tenon_oldest_waiting_job_seconds"  # tenant: how long its oldest queued job has waited
DEAD_LETTERS = "tenon_dead_letters"  # messages set aside that nobody has replayed or discarded
LAST_ROUND = "tenon_last_round_timestamp_seconds"  # service: when its loop last ended a round without an outage
REQUESTS = "tenon_http_requests_total"  # service, code: answered requests
DELIVERIES = "tenon_webhook_deliveries_total"  # tenant, outcome: delivered, refused, given_up
COST = "tenon_cost_total"  # tenant, currency: money of finished and running attempts
