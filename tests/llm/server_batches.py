"""Batches in the forms of both providers: OpenAI's files and batches, Anthropic's message batches.

A batch does its work when it is looked at for the `looks`-th time. What becomes of a row is chosen by the first word of its
text, as for a single request; besides, `once-expired` and `expired` rows expire. A text with `whole-failed`, `whole-full` (as
long as another batch is there), `whole-cancelled` or `whole-expired` in it decides over its whole batch. What is charged for
stands in the server's log.
"""

from __future__ import annotations

import email
import email.policy
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import server_anthropic
from server_faults import FAULTS

RAW = "raw"
"""The key of a row's content that only its bytes can be: the value is the act they come from."""
Perform = Callable[[str, dict[str, Any]], tuple[str, int, Any]]
"""Text and body of a row to what was done, a status and the answer's content."""


class Batches:
    """All files and batches of the server; `perform` does a row."""

    def __init__(self, perform: Perform, looks: int) -> None:
        self.perform = perform
        self.looks = looks
        self.files: dict[str, tuple[str, bytes]] = {}
        self.made: list[dict[str, Any]] = []
        self.created = 0

    # --- OpenAI -------------------------------------------------------------------------------------------------------

    def openai(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes) -> Any:
        """(status, content) of a request below `/v1/files` or `/v1/batches`."""
        parts = path.strip("/").split("/")[1:]
        if parts == ["files"]:
            return 200, self._upload(headers, raw)
        if parts[0] == "files":
            return 200, self.files[parts[1]][1]
        if parts == ["batches"] and method == "POST":
            return self._create(json.loads(raw))
        if parts == ["batches"]:
            return 200, self._page(query, "after", self._end_openai)
        batch = self._found(parts[1])
        if batch is None:
            return 404, {"error": {"message": f"No batch found with id '{parts[1]}'."}}
        self._look(batch, self._end_openai)
        return 200, {name: value for name, value in batch.items() if not name.startswith("_")}

    def _upload(self, headers: dict[str, str], raw: bytes) -> dict[str, Any]:
        form = email.message_from_bytes(
            b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + raw, policy=email.policy.HTTP
        )
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        assert parts["purpose"].get_payload(decode=True) == b"batch"
        name = f"file-{len(self.files) + 1}"
        content = parts["file"].get_payload(decode=True)
        self.files[name] = (parts["file"].get_filename(), content)
        return {"id": name, "object": "file", "bytes": len(content), "purpose": "batch", "created_at": int(time.time())}

    def _create(self, body: dict[str, Any]) -> Any:
        if body["input_file_id"] not in self.files or body["completion_window"] != "24h":
            return 400, {"error": {"message": "Invalid input file"}}
        rows = [json.loads(line) for line in self.files[body["input_file_id"]][1].splitlines()]
        assert len({row["custom_id"] for row in rows}) == len(rows)
        assert all(row["url"] == body["endpoint"] and row["method"] == "POST" for row in rows)
        self.created += 1
        batch = {
            "id": f"batch_{self.created}",
            "object": "batch",
            "status": "in_progress",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "created_at": int(time.time()),
            "metadata": body.get("metadata"),
            "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
            "_rows": [(row["custom_id"], row["body"]) for row in rows],
            "_looks": 0,
        }
        self.made.insert(0, batch)
        return 200, {name: value for name, value in batch.items() if not name.startswith("_")}

    def _end_openai(self, batch: dict[str, Any]) -> None:
        whole = "" if whole_of(batch) == "full" and not self._others(batch) else whole_of(batch)
        batch["status"] = {"failed": "failed", "full": "failed"}.get(whole, whole or "completed")
        if batch["status"] == "failed":
            code = "token_limit_exceeded" if whole == "full" else "invalid_json_line"
            batch["errors"] = {"object": "list", "data": [{"code": code, "message": "cannot be served", "line": 1}]}
            return
        done: dict[str, list[Any]] = {"output_file_id": [], "error_file_id": []}
        for number, (custom_id, body) in enumerate(batch["_rows"]):
            act, status, content = self._row(body, whole if number else "")
            row = {"id": f"r{number}", "custom_id": custom_id, "response": None, "error": None}
            if act in ("expired", "cancelled"):
                row["error"] = {"code": f"batch_{act}", "message": f"This request could not be executed: {act}"}
            else:
                row["response"] = {"status_code": status, "request_id": "q", "body": content}
            done["output_file_id" if status == 200 else "error_file_id"].append(row)
        for name, rows in done.items():
            if rows:
                batch[name] = f"file-{len(self.files) + 1}"
                lines = b"".join(line_of(row) for row in reversed(rows))
                self.files[batch[name]] = ("output.jsonl", lines)

    # --- Anthropic ----------------------------------------------------------------------------------------------------

    def anthropic(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes) -> Any:
        """(status, content) of a request below `/v1/messages/batches`."""
        parts = path.strip("/").split("/")[3:]
        if not parts and method == "POST":
            return self._create_anthropic(json.loads(raw), headers)
        if not parts:
            return 200, self._page(query, "after_id", lambda ended: self._end_anthropic(ended, headers["host"]))
        batch = self._found(parts[0])
        if batch is None:
            return 404, server_anthropic.error(404, "no such batch")
        if parts[1:] == ["results"]:
            return 200, b"".join(line_of(row) for row in reversed(batch["_results"]))
        self._look(batch, lambda ended: self._end_anthropic(ended, headers["host"]))
        return 200, {name: value for name, value in batch.items() if not name.startswith("_")}

    def _create_anthropic(self, body: dict[str, Any], headers: dict[str, str]) -> Any:
        rows = [(row["custom_id"], row["params"]) for row in body["requests"]]
        assert len({custom_id for custom_id, _ in rows}) == len(rows)
        assert all(len(custom_id) <= 64 for custom_id, _ in rows)
        self.created += 1
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        counts = {"processing": len(rows), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        batch = {
            "id": f"msgbatch_{self.created}",
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": counts,
            "created_at": now,
            "expires_at": now,
            "ended_at": None,
            "results_url": None,
            "_rows": rows,
            "_looks": 0,
            "_headers": headers,
        }
        self.made.insert(0, batch)
        return 200, {name: value for name, value in batch.items() if not name.startswith("_")}

    def _end_anthropic(self, batch: dict[str, Any], host: str) -> None:
        whole, results = whole_of(batch), []
        for number, (custom_id, body) in enumerate(batch["_rows"]):
            told = server_anthropic.refused(body, batch["_headers"])
            act, status, content = ("refused", 400, None) if told else self._row(body, whole if number else "")
            if act in ("expired", "cancelled"):
                result: dict[str, Any] = {"type": "canceled" if act == "cancelled" else "expired"}
            elif status != 200:
                shown = server_anthropic.error(400, told) if told else server_anthropic.translated(status, content)
                result = {"type": "errored", "error": shown}
            else:
                result = {"type": "succeeded", "message": server_anthropic.translated(status, content)}
            results.append({"custom_id": custom_id, "result": result})
        kinds = [row["result"]["type"] for row in results]
        batch["request_counts"] = {kind: kinds.count(kind) for kind in batch["request_counts"]}
        batch["_results"] = results
        batch["processing_status"], batch["ended_at"] = "ended", batch["created_at"]
        batch["results_url"] = f"http://{host}/v1/messages/batches/{batch['id']}/results"

    # --- both ---------------------------------------------------------------------------------------------------------

    def _row(self, body: dict[str, Any], whole: str) -> tuple[str, int, Any]:
        """Do a row; `whole` is what became of the batch before it came to it."""
        if whole in ("expired", "cancelled"):
            return whole, 0, None
        act, status, content = self.perform(body["messages"][-1]["content"], body)
        return act.removeprefix("once-"), status, content

    def _found(self, name: str) -> dict[str, Any] | None:
        return next((batch for batch in self.made if batch["id"] == name), None)

    def _look(self, batch: dict[str, Any], end: Callable[[dict[str, Any]], None]) -> None:
        batch["_looks"] += 1
        full = batch["_looks"] == 1 and whole_of(batch) == "full" and self._others(batch)
        if (full or batch["_looks"] == self.looks) and "_ended" not in batch:
            end(batch)
            batch["_ended"] = True

    def _others(self, batch: dict[str, Any]) -> bool:
        return any("_ended" not in other for other in self.made if other is not batch)

    def _page(self, query: dict[str, str], cursor: str, end: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        names = [batch["id"] for batch in self.made]
        start = names.index(query[cursor]) + 1 if cursor in query else 0
        # Pages of two, so that whoever reads them has to turn one.
        page = self.made[start : start + 2]
        for batch in page:
            self._look(batch, end)
        shown = [{name: value for name, value in batch.items() if not name.startswith("_")} for batch in page]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return {"object": "list", "data": shown, "has_more": start + 2 < len(self.made), **ends}


def line_of(row: dict[str, Any]) -> bytes:
    """A row of the results as a line."""
    line = json.dumps(row).encode()
    for act in FAULTS:
        if (mark := json.dumps({RAW: act}).encode()) in line:
            line = line.replace(mark, FAULTS[act]({})[1])
    return line + b"\n"


def whole_of(batch: dict[str, Any]) -> str:
    """What a text in it decides over the whole batch."""
    texts = [body["messages"][-1]["content"] for _, body in batch["_rows"]]
    return next((text.split("whole-")[1].split()[0] for text in texts if "whole-" in text), "")
