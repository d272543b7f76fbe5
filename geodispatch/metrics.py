"""What is counted, in Prometheus' default registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

HTTP_DURATION = Histogram(
    "geodispatch_http_request_duration_seconds", "Time to answer an HTTP request.", ["method", "route", "status"]
)
MATCH_DURATION = Histogram(
    "geodispatch_match_duration_seconds",
    "Time to find the cameras inside a fence.",
    buckets=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.1, 1),
)
CAMERAS = Gauge("geodispatch_cameras", "Cameras in this process's index.")
PROMPTS_QUEUED = Counter("geodispatch_prompts_queued_total", "Prompts queued by submitted requests.")
DELIVERIES = Counter("geodispatch_deliveries_total", "Delivery tries by how they ended.", ["channel", "outcome"])
DELIVERY_DURATION = Histogram(
    "geodispatch_delivery_duration_seconds",
    "Time of a delivery try; those that went out together and took the same count once.",
    ["channel"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
BREAKERS = Gauge("geodispatch_breakers", "Endpoints that failed lately, over all senders.", ["channel", "state"])
DEAD_LETTERS = Gauge("geodispatch_dead_letters", "Prompts that a channel gave up and nobody replayed.", ["channel"])
INBOX_STREAMS = Gauge("geodispatch_inbox_streams", "Owners' pages that listen to this process.")
PROMPTS_SETTLED = Counter("geodispatch_prompts_settled_total", "Prompts by how their turn ended.", ["outcome"])
PROMPTS_DELAYED = Counter("geodispatch_prompts_delayed_total", "Prompts put back in line.", ["channel", "reason"])
PROMPTS_SUPPRESSED = Counter("geodispatch_prompts_suppressed_total", "Prompts given up.", ["channel", "reason"])
QUEUE = Gauge("geodispatch_queue_prompts", "Prompts in line, when last measured.", ["channel", "state"])
QUEUE_AGE = Gauge(
    "geodispatch_queue_oldest_seconds", "How long the first prompt that is due has been waiting.", ["channel"]
)
