"""Load on `nesycd serve`: clients that ask one after the other, one at a time against many, and clients that vanish.

    python benchmarks/serving.py RUN --clients 64 --seconds 120

RUN is a finished run of longtail, such as the demo's (`nesycd demo --root FOLDER`). The questions are those of train and
valid, to which the run's student has no stored answers. Prints a table, and exits with 1 where an answer failed otherwise than by
429, or something was left running.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import openai

from nesycd.tasks.registry import build_task

VANISH = 100


def questions() -> list[str]:
    """Questions of the embedded benchmark to which the run's student has no stored answer."""
    task = build_task("longtail")
    made = [example.question for split in ("train", "valid") for example in task.load(split) if not example.options]
    return random.Random(0).sample(made, len(made))


class Server:
    """`nesycd serve` as a process."""

    def __init__(self, run: Path, *options: str) -> None:
        command = [sys.executable, "-m", "nesycd", "serve", str(run), "--port", "0", "--name", "student", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"serving (http://[\d.:]+)/v1", self.process.stdout.readline())
        if not found:
            sys.exit("the server did not start")
        self.address = found[1]

    def metrics(self) -> dict[str, float]:
        """Its counters by name, labels included."""
        with urllib.request.urlopen(f"{self.address}/metrics") as told:
            lines = [line for line in told.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def memory(self) -> float:
        """Resident MiB."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", told)
        return int(found[1]) / 1024 if found else 0.0


async def load(
    server: Server, asked: list[str], clients: int, seconds: float
) -> tuple[list[float], Counter[str], int, list[float]]:
    """Seconds of each answer, what became of requests, the completion tokens, and resident MiB at each quarter."""
    taken: list[float] = []
    memory: list[float] = []
    ended: Counter[str] = Counter()
    tokens = 0
    turn = itertools.cycle(asked)
    until = time.monotonic() + seconds

    async def client(api: openai.AsyncOpenAI) -> None:
        nonlocal tokens
        while time.monotonic() < until:
            begun = time.monotonic()
            messages = [{"role": "user", "content": next(turn)}]
            try:
                made = await api.chat.completions.create(model="student", messages=messages)
            except openai.RateLimitError:
                ended["429"] += 1
                await asyncio.sleep(1)
            except openai.OpenAIError as error:
                ended[type(error).__name__] += 1
            else:
                ended["answered"] += 1
                tokens += made.usage.completion_tokens
                taken.append(time.monotonic() - begun)

    async def watch() -> None:
        for _ in range(4):
            await asyncio.sleep(seconds / 4)
            memory.append(server.memory())

    async with openai.AsyncOpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0, timeout=300) as api:
        await asyncio.gather(watch(), *(client(api) for _ in range(clients)))
    return taken, ended, tokens, memory


def vanish(server: Server, asked: list[str]) -> float:
    """Seconds until nothing of `VANISH` requests runs whose clients closed their connections at once."""
    host, port = server.address.removeprefix("http://").split(":")
    for place in range(VANISH):
        messages = [{"role": "user", "content": asked[place]}]
        body = json.dumps({"model": "student", "stream": place % 2 == 0, "messages": messages}).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", f"host: {host}", "content-type: application/json"]
        head = "\r\n".join([*lines, f"content-length: {len(body)}"]).encode()
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head + b"\r\n\r\n" + body)
            time.sleep(0.01)
    begun = time.monotonic()
    while (found := server.metrics())["nesycd_questions"] or found["nesycd_running"]:
        if time.monotonic() - begun > 60:
            return float("inf")
        time.sleep(0.05)
    return time.monotonic() - begun


def quantile(metrics: dict[str, float], name: str, share: float) -> float:
    """Upper bound of a histogram's quantile, in seconds."""
    buckets = sorted(
        (float(found[1]), value)
        for key, value in metrics.items()
        if (found := re.fullmatch(name + r'_bucket\{le="([^"]+)"\}', key))
    )
    return next(bound for bound, value in buckets if value >= share * buckets[-1][1])


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--alone", type=float, default=30.0, help="seconds with one client")
    given = parser.parse_args()
    asked = questions()
    print(f"{len(asked)} questions, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}")
    server = Server(given.run)
    try:
        rates = []
        failed = False
        for clients, seconds in ((1, given.alone), (given.clients, given.seconds)):
            before = server.memory()
            begun = time.monotonic()
            taken, ended, tokens, memory = asyncio.run(load(server, asked, clients, seconds))
            spent = time.monotonic() - begun
            rates.append(ended["answered"] / spent)
            failed |= any(what not in ("answered", "429") for what in ended)
            quantiles = statistics.quantiles(taken, n=20) if len(taken) > 1 else [taken[0]] * 19
            print(
                f"{clients:3} clients, {spent:.0f} s: {rates[-1]:.2f} answers/s, {tokens / spent:.0f} tokens/s, "
                f"median {quantiles[9]:.1f} s, p95 {quantiles[18]:.1f} s; {dict(ended)}; "
                f"memory {before:.0f} -> {', '.join(f'{one:.0f}' for one in memory)} MiB"
            )
        print(f"throughput: {rates[1] / rates[0]:.1f} times one client's")
        counted = server.metrics()
        p50, p99 = (1000 * quantile(counted, "nesycd_knowledge_seconds", share) for share in (0.5, 0.99))
        print(f"a step in the knowledge base: median at most {p50:g} ms, p99 at most {p99:g} ms")
        left = vanish(server, asked)
        print(
            f"{VANISH} clients that vanished: nothing runs {left:.1f} s after the last; memory {server.memory():.0f} MiB"
        )
        failed |= left == float("inf")
    finally:
        server.process.terminate()
        server.process.wait(30)
    sys.exit(failed)


if __name__ == "__main__":
    main()
