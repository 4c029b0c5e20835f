"""Rows: jobs, their attempts and events, the durable queue, uploaded files. Objects live in the bucket, not here."""
