"""The devices of this machine: choice, number format, and a description for `nesycd doctor` and manifests."""

from __future__ import annotations

import torch


def pick_device(wanted: str = "auto") -> torch.device:
    """The device to use: CUDA, then Apple's MPS, then CPU, unless one is named (`"cpu"`, `"cuda:1"`, ...)."""
    if wanted != "auto":
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether bf16 matrix products run on the hardware of `device` (on CPUs: AVX512-BF16, AMX or ARM bf16)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pick_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware has it, else fp32."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def describe() -> list[dict[str, str]]:
    """One row for each device: `device`, `name`, `memory` (GiB, "" where unknown), `bf16` ("yes" or "no")."""
    rows = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        rows.append(
            {
                "device": f"cuda:{index}",
                "name": properties.name,
                "memory": f"{properties.total_memory / 2**30:.0f}",
                "bf16": "yes" if has_bfloat16(torch.device("cuda", index)) else "no",
            }
        )
    if torch.backends.mps.is_available():
        rows.append({"device": "mps", "name": "Apple GPU", "memory": "", "bf16": "yes"})
    cpu = torch.device("cpu")
    name = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    rows.append({"device": "cpu", "name": name, "memory": "", "bf16": "yes" if has_bfloat16(cpu) else "no"})
    return rows
