"""What a server counts, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nesycd.core.protocols import Generation

_KNOWLEDGE = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
_ANSWERS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server, in a registry of their own."""

    TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("nesycd_requests", "Requests by path and status", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "nesycd_request_seconds", "Seconds of an answered request", ["path"], buckets=_ANSWERS, registry=registry
        )
        self.first = Histogram(
            "nesycd_first_text_seconds", "Seconds until the first text of a stream", buckets=_ANSWERS, registry=registry
        )
        self.knowledge = Histogram(
            "nesycd_knowledge_seconds",
            "Seconds of one step in the knowledge base: retrieval and prompt, or the reply's parts",
            buckets=_KNOWLEDGE,
            registry=registry,
        )
        self.tokens = Counter("nesycd_tokens", "Tokens of prompts and completions", ["of"], registry=registry)
        self.calls = Counter("nesycd_calls", "Calls by tool and kind of result", ["name", "kind"], registry=registry)
        self.finished = Counter("nesycd_predictions", "Predictions by how they ended", ["finish"], registry=registry)
        self.waiting = Gauge("nesycd_questions", "Questions that wait or are being answered", registry=registry)
        self.running = Gauge("nesycd_running", "Answers that are being written", registry=registry)
        self.revision = Gauge("nesycd_knowledge_revision", "Revision of the knowledge base", registry=registry)
        self.items = Gauge("nesycd_knowledge_items", "Approved items", registry=registry)

    def wrote(self, made: Generation) -> None:
        """Count what was generated."""
        self.finished.labels(made.finish).inc()
        self.tokens.labels("prompt").inc(made.prompt_tokens)
        self.tokens.labels("completion").inc(made.completion_tokens)
        for call in made.trace:
            self.calls.labels(call.name, call.kind).inc()

    def text(self) -> bytes:
        """All of it."""
        return bytes(generate_latest(self.registry))
