"""The embedded student on a real vLLM, where `NESYCD_TEST_VLLM` names one, begun as `docs/serving.md` says."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("peft")

from nesycd.api.finished import OpenRun, open_run
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Prompt
from nesycd.core.sections import ServerSection
from nesycd.students.canary import seen_there
from nesycd.students.registry import build_student
from nesycd.students.remote_api import RemoteServer
from nesycd.students.served import ServedStudent
from nesycd.students.served_adapters import adapter_name

ADDRESS = os.environ.get("NESYCD_TEST_VLLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not ADDRESS, reason="NESYCD_TEST_VLLM names no vLLM of smollm2-135m with --enable-lora"),
]
KEY = os.environ.get("NESYCD_TEST_VLLM_KEY", "")
COUNT = int(os.environ.get("NESYCD_TEST_VLLM_COUNT", "24"))
"""Questions that are asked."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRun]:
    root = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "nesycd", "demo", "--root", str(root), "--no-ask"]
    subprocess.run(command, check=True, capture_output=True)
    with open_run(root / "demo") as opened:
        yield opened


@pytest.fixture
def student() -> Iterator[ServedStudent]:
    key = "NESYCD_TEST_VLLM_KEY" if KEY else ""
    made = build_student("smollm2-135m", server=ServerSection(base_url=ADDRESS, concurrency=16, key_env=key))
    assert isinstance(made, ServedStudent)
    yield made
    made.close()


def post(path: str, **body: Any) -> int:
    request = urllib.request.Request(
        ADDRESS + path,
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {KEY}"},
    )
    try:
        with urllib.request.urlopen(request) as told:
            return int(told.status)
    except urllib.error.HTTPError as error:
        return error.code


def changed(adapter: Path, folder: Path, **config: Any) -> Path:
    """An adapter with other weights and settings."""
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name: -one if "lora_B" in name else one for name, one in weights.items()}, folder / "adapter_model.safetensors"
    )
    told = json.loads((adapter / "adapter_config.json").read_text()) | config
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


def test_answers_are_those_of_the_run_but_for_a_few(demo: OpenRun, student: ServedStudent) -> None:
    way = demo.way("nesycd")
    asks = [way.first(example) for example in list(demo.examples("test").values())[:COUNT]]
    prompts = [Prompt(str(place), ask.prompt, ask.tools, ask.question) for place, ask in enumerate(asks)]
    assert asks[0].adapter is not None
    made = student.generate(prompts, adapter=asks[0].adapter.path, decoding=asks[0].decoding)
    known = [demo.predictor.find(ask) for ask in asks]
    pairs = [(one, other) for one, other in zip(known, made, strict=True) if one is not None]
    same = [(one, other) for one, other in pairs if one.text == other.text]
    assert len(pairs) == COUNT and len(same) >= 0.9 * COUNT
    assert all(other.margin == pytest.approx(one.margin, abs=0.05) for one, other in same)
    local = build_student("smollm2-135m")
    texts = [one.text for one, _ in pairs[:4]]
    here = local.least_likely(prompts[:4], texts, adapter=asks[0].adapter.path)
    assert student.least_likely(prompts[:4], texts, adapter=asks[0].adapter.path) == pytest.approx(here, abs=0.3)


def test_what_stands_under_an_adapters_name_is_checked(demo: OpenRun, student: ServedStudent, tmp_path: Path) -> None:
    adapter = demo.adapter("nesycd").path
    other = changed(adapter, tmp_path / "other")
    prompt, decoding = [Prompt("one", "How many feet are 4 fathoms?")], Decoding(4)
    name = adapter_name(other, student.fingerprint)
    assert post("/load_lora_adapter", lora_name=name, lora_path=str(adapter)) == 200
    try:
        with pytest.raises(ModelError, match="answers a known text otherwise than the adapter"):
            student.generate(prompt, adapter=other, decoding=decoding)
    finally:
        assert post("/unload_lora_adapter", lora_name=name) == 200
    # The same name now stands for the right weights; what the server's cache holds of it is told by the path too.
    assert student.generate(prompt, adapter=other, decoding=decoding)
    high = changed(adapter, tmp_path / "high", r=512)
    with pytest.raises(ModelError, match=r"whose rank is 512: .* start the server with --max-lora-rank 512"):
        student.generate(prompt, adapter=high, decoding=decoding)


def test_a_cache_that_holds_other_weights_under_name_and_path_is_found_out(
    demo: OpenRun, student: ServedStudent, tmp_path: Path
) -> None:
    adapter = demo.adapter("nesycd").path
    right = changed(adapter, tmp_path / "right")
    place, name = tmp_path / "place", adapter_name(right, student.fingerprint)
    shutil.copytree(adapter, place)
    assert post("/load_lora_adapter", lora_name=name, lora_path=str(place)) == 200

    async def read() -> None:
        server = RemoteServer(ADDRESS, KEY)
        await seen_there(server, student.renderer, name, {})
        await server.close()

    asyncio.run(read())
    assert post("/unload_lora_adapter", lora_name=name) == 200
    shutil.copytree(right, place, dirs_exist_ok=True)
    with pytest.raises(ModelError, match=r"other weights are in use; restart the server"):
        student.generate([Prompt("one", "How many feet are 4 fathoms?")], adapter=place, decoding=Decoding(4))
    assert post("/unload_lora_adapter", lora_name=name) == 404  # it was unloaded


def test_an_adapter_that_is_not_there_and_the_server_before_a_run(student: ServedStudent, tmp_path: Path) -> None:
    assert student.examine(16, tmp_path).problem == ""
    assert "start the server with --max-lora-rank 512" in student.examine(512, tmp_path).problem
    assert student.served_by.startswith("vllm ")
