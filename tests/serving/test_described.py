"""The server's OpenAPI description against the server: whatever is sent, answers are those described, and no error is ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from nesycd.api.finished import open_run  # noqa: E402
from nesycd.serving.engine import LocalEngine  # noqa: E402
from nesycd.serving.metrics import Metrics  # noqa: E402
from nesycd.serving.openai_api import openai_app  # noqa: E402
from nesycd.serving.service import Service  # noqa: E402

pytestmark = pytest.mark.slow


def test_answers_are_as_described(finished_run: Path) -> None:
    opened = open_run(finished_run)
    app = openai_app(Service(opened, LocalEngine(opened.student, 8), Metrics()), "units", ["nesycd"])
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked = set()
    for found in described.get_all_operations():
        operation = found.ok()
        asked.add(operation.label)

        @settings(max_examples=100, suppress_health_check=[*HealthCheck], deadline=None)
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            if isinstance(case.body, dict) and "model" in case.body:
                case.body["model"] = "units"
            # A question that cannot be one is refused, though its form is right.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        answers()
    assert asked >= {
        "POST /v1/chat/completions",
        "POST /v1/completions",
        "GET /v1/models",
        "GET /health",
        "GET /metrics",
    }
