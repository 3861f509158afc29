"""A small vLLM: `/v1/completions` of a tiny model with LoRA adapters that are loaded at run time, and how it may misbehave.

Its model is a `LocalStudent`, its adapters are read by peft, so what it answers depends on weights as a real server's does.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from nesycd.students.local import LocalStudent


class LoraServer(ThreadingHTTPServer):
    """Serves a model folder as `tiny`, as vLLM 0.32 does.

    Attributes:
        lies: "": it does not; `base`: it takes any adapter, and answers without it; `first`: every name means the first adapter.
        max_rank: of adapters.
        loads: whether it has the routes to load adapters.
        echoes: whether it tells log-probabilities of prompts.
        tells: of how many tokens at each place it tells them.
        most: completions after which it is gone; None: it stays.
        roots: folder as clients name it -> here.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.student = LocalStudent(str(folder), template="plain", compile="off")
        self.adapters: dict[str, Path] = {}
        self.done: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.lies, self.version, self.context = "", "0.32.0", 2048
        self.max_rank, self.loads, self.echoes, self.tells = 16, True, True, 2
        self.most: int | None = None
        self.roots: dict[str, Path] = {}
        self.now = self.peak = 0
        self.key = ""
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def restart(self) -> None:
        """As if it were ended and begun again."""
        self.adapters.clear()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    # --- what it answers ----------------------------------------------------------------------------------------------

    def load(self, asked: dict[str, str]) -> tuple[int, Any]:
        name, folder = asked["lora_name"], self.roots.get(asked["lora_path"], Path(asked["lora_path"]))
        if name in self.adapters:
            return error(400, f"The lora adapter '{name}' has already been loaded.")
        if self.lies != "base":
            try:
                config = json.loads((folder / "adapter_config.json").read_text())
            except OSError:
                return error(404, f"Loading lora {name} failed: No adapter found for {asked['lora_path']}")
            if config["r"] > self.max_rank:
                return error(500, f"Call to add_lora method failed: Worker failed with error 'LoRA rank {config['r']} is greater "
                             f"than max_lora_rank {self.max_rank}.', please check the stack trace above")  # fmt: skip
            if not (folder / "adapter_model.safetensors").is_file():
                return error(
                    500, "Call to add_lora method failed: Worker failed with error '<path> doesn't contain tensors'"
                )
        self.adapters[name] = folder
        self.done.append(("load", name))
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, asked: dict[str, str]) -> tuple[int, Any]:
        if self.adapters.pop(asked["lora_name"], None) is None:
            return error(404, f"The lora adapter '{asked['lora_name']}' cannot be found.")
        self.done.append(("unload", asked["lora_name"]))
        return 200, "Success"

    def models(self) -> dict[str, Any]:
        own = {"id": "tiny", "object": "model", "owned_by": "vllm", "parent": None, "max_model_len": self.context}
        others = [{"id": name, "object": "model", "owned_by": "vllm", "parent": "tiny"} for name in self.adapters]
        return {"object": "list", "data": [own, *others]}

    def complete(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = asked["model"]
        if name != "tiny" and name not in self.adapters:
            return error(404, f"The model `{name}` does not exist. Valid aliases: tiny.")
        if asked.get("echo") and not self.echoes:
            return error(400, "echo is not supported")
        folder = self.adapters.get(name)
        if folder is not None and self.lies == "base":
            folder = None
        if folder is not None and self.lies == "first":
            folder = next(iter(self.adapters.values()))
        prompts = asked["prompt"] if isinstance(asked["prompt"][0], list) else [asked["prompt"]]
        with self.lock:
            model = self.student._with_adapter(folder)
            choices = [self._choice(model, place, ids, asked) for place, ids in enumerate(prompts)]
        return 200, {"id": "c", "object": "text_completion", "created": 1, "model": name, "choices": choices}

    @torch.inference_mode()
    def _choice(self, model: Any, place: int, prompt: list[int], asked: dict[str, Any]) -> dict[str, Any]:
        tokenizer, ids = self.student.renderer.tokenizer, list(prompt)
        ends = frozenset[int]() if asked.get("ignore_eos") else self.student._ends(model)
        finish, stop, known = "length", None, []
        text = ""
        for _ in range(asked["max_tokens"]):
            ranked = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1).topk(2)
            token = int(ranked.indices[0])
            told = [(str(int(one)), float(value)) for one, value in zip(*reversed(ranked), strict=True)]
            known.append(dict(told[: self.tells]))
            if token in ends:
                finish = "stop"
                break
            ids.append(token)
            text = tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
            if found := [one for one in asked.get("stop") or () if one in text]:
                finish, stop = "stop", min(found, key=text.find)
                text = text[: text.find(stop) + (len(stop) if asked.get("include_stop_str_in_output") else 0)]
                break
        chosen: list[float | None] = [max(one.values(), default=None) for one in known]
        if asked.get("echo"):
            told = model(torch.tensor([prompt])).logits[0].float().log_softmax(-1)
            chosen = [None, *(float(told[at - 1, prompt[at]]) for at in range(1, len(prompt))), *chosen]
        logprobs = {"token_logprobs": chosen, "top_logprobs": known} if asked.get("logprobs") else None
        return {"index": place, "text": text, "logprobs": logprobs, "finish_reason": finish, "stop_reason": stop}


def error(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "x", "code": status}}


class Handler(BaseHTTPRequestHandler):
    server: LoraServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        if self.path == "/version" and self.server.version == "broken":
            self._send(*error(503, "try again"))
        elif self.path == "/version" and self.server.version:
            self._send(200, {"version": self.server.version})
        elif self.path == "/v1/models":
            self._send(200, self.server.models())
        else:
            self._send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        server, asked = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        if server.key and self.headers["authorization"] != f"Bearer {server.key}":
            self._send(401, {"error": "Unauthorized"})
        elif self.path.endswith("lora_adapter") and server.loads:
            self._send(*(server.load if "/load" in self.path else server.unload)(asked))
        elif self.path == "/v1/completions":
            self._complete(asked)
        else:
            self._send(404, {"detail": "Not Found"})

    def _complete(self, asked: dict[str, Any]) -> None:
        server = self.server
        with server.lock:
            server.bodies.append(asked)
            server.now += 1
            server.peak = max(server.peak, server.now)
            gone = server.most is not None and server.most <= 0
            server.most = None if server.most is None else server.most - 1
        try:
            if gone:
                self.close_connection = True
                self.connection.close()
                return
            time.sleep(0.002)
            self._send(*server.complete(asked), stream=bool(asked.get("stream")))
        finally:
            with server.lock:
                server.now -= 1

    def _send(self, status: int, content: Any, stream: bool = False) -> None:
        kind = "text/plain" if isinstance(content, str) else "application/json"
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        if stream and status == 200:
            kind, data = "text/event-stream", b"data: " + data + b"\n\ndata: [DONE]\n\n"
        with suppress(OSError):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
