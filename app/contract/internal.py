"""Names that two processes of ours must spell alike: topics, internal endpoints, ports, token audiences."""

JOBS_TOPIC = "finetuning-jobs"
RETRY_TOPICS = {
    f"{JOBS_TOPIC}.retry.{name}": seconds for name, seconds in (("10s", 10), ("1m", 60), ("10m", 600), ("1h", 3600))
}
"""Where a message waits that failed for a passing reason: topic -> seconds until it is due.

One delay each, so that every topic is in order of due time.
"""
DEAD_LETTER_TOPIC = "dlq.finetuning-jobs"
DISPATCHER_GROUP = "dispatcher"  # consumer group

# Headers that we add to a message that failed; its own headers, key and value stay as they were.
FAILURE_HEADERS = "tenon.failure."  # prefix; one name for each field of app.broker.queue.Failure

STATUS_PATH = "/internal/jobs/{job}/attempts/{attempt}/status"
STATUS_AUDIENCE = "finetune-status"
API_AUDIENCE = "tenon-api"  # of service-account tokens with which pods of a tenant call the API

INGEST_PORT = 8080
STATUS_PORT = 8081  # of the watcher; trainers reach nothing else of ours
METRICS_PORT = 9464
MODEL_PORT = 8000

# The router writes it on each request, over whatever the caller sent; the gateway sends the request to that arm.
ARM_HEADER = "X-Tenon-Arm"
ARM_B = "b"  # of an A/B test
ARM_CANARY = "canary"  # the version that is rolled out, whatever its weight

# Workflow parameters; values are a job id, a number and base64url, never tenant text.
JOB_PARAMETER = "job"
ATTEMPT_PARAMETER = "attempt"
TRACEPARENT_PARAMETER = "traceparent"
SLOT_PARAMETER = "slot"  # of tenants with isolation `hard`: number of a slot no running job of the tenant holds
