"""Whether a server is there, takes the key and has the model: asked by the list of its models, which costs nothing.

A plain request rather than one of the clients': it needs no extra, follows no redirect (the key would go along), and reads a
bounded answer. What the server says is not repeated, since it may contain the key.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.openai_api import OpenAIEndpoint

SECONDS = 10.0
"""How long the server may take."""
_MOST_BYTES = 4 << 20
_NO_LIST = (404, 405, 501)


@dataclass(frozen=True)
class Reached:
    """What became of the question.

    Attributes:
        models: those that the server lists; none where it lists none.
        problem: why no model could be asked there, a sentence; "" where one can, as far as is known.
        note: what is odd and need not be wrong.
    """

    models: tuple[str, ...] = ()
    problem: str = ""
    note: str = ""


def reach(endpoint: OpenAIEndpoint | AnthropicEndpoint, seconds: float = SECONDS) -> Reached:
    """Ask an endpoint's server for its models.

    Args:
        endpoint: the model at its server; its key is read from the environment.
        seconds: how long to wait.
    """
    key = os.environ.get(endpoint.key_env, "") if endpoint.key_env else ""
    if endpoint.key_env and not key:
        return Reached(
            problem=f"the environment variable {endpoint.key_env} with the key for {endpoint.origin} is not set"
        )
    try:
        content = _listed(endpoint, key, seconds)
    except urllib.error.HTTPError as error:
        error.close()
        return _refused(endpoint, error.code)
    except urllib.error.URLError as error:
        reason = error.reason.strerror if isinstance(error.reason, OSError) else None
        return Reached(
            problem=f"no server answers at {endpoint.origin}{f' ({reason})' if reason else ''}: is it running?"
        )
    except TimeoutError:
        return Reached(problem=f"the server at {endpoint.origin} gave no answer within {seconds:g} s")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Reached(
            problem=f"what answers at {endpoint.origin} is no server of language models ({type(error).__name__})"
        )
    models = _names(content)
    if models and endpoint.model and endpoint.model not in models:
        shown = ", ".join(models[:5]) + (f" and {len(models) - 5} more" if len(models) > 5 else "")
        return Reached(models, note=f"the server at {endpoint.origin} does not list {endpoint.model!r}, but {shown}")
    return Reached(models)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given: Any) -> None:
        """Follow none: the redirect becomes an error with its status."""


def _listed(endpoint: OpenAIEndpoint | AnthropicEndpoint, key: str, seconds: float) -> Any:
    if endpoint.api == "anthropic":
        url, headers = f"{endpoint.base_url}/v1/models", {"anthropic-version": "2023-06-01"}
        headers |= {"x-api-key": key} if key else {}
    else:
        url, headers = f"{endpoint.base_url}/models", {"Authorization": f"Bearer {key}"} if key else {}
    # `origin_of` has checked that it is http or https.
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as response:
        content = response.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        return None
    try:
        return json.loads(content)
    except RecursionError:
        return None


def _names(content: Any) -> tuple[str, ...]:
    """The names in a list of models, whatever is in it."""
    rows = content.get("data") if isinstance(content, dict) else None
    found = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return tuple(name for name in found if isinstance(name, str) and name.isprintable())


def _refused(endpoint: OpenAIEndpoint | AnthropicEndpoint, status: int) -> Reached:
    if status in (401, 403):
        if endpoint.key_env:
            return Reached(problem=f"{endpoint.origin} refuses the key in {endpoint.key_env} (HTTP {status})")
        return Reached(
            problem=f"{endpoint.origin} asks for a key (HTTP {status}): name the environment variable that holds it in "
            "teacher.api.key_env"
        )
    if 300 <= status < 400:
        return Reached(
            problem=f"{endpoint.origin} sends requests on to another address (HTTP {status}): give that one as "
            "teacher.api.base_url"
        )
    if status in _NO_LIST:
        odd = endpoint.api == "openai" and not endpoint.base_url.endswith("/v1")
        hint = "; addresses of servers usually end in /v1" if odd else ""
        return Reached(note=f"{endpoint.origin} answers, but lists no models (HTTP {status}){hint}")
    return Reached(note=f"{endpoint.origin} answers, but not well at present (HTTP {status})")
