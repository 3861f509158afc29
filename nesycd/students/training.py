"""LoRA fine-tuning on prompts and completions, with weights, resumable and seeded.

A plain loop rather than a trainer class: it keeps the loss on completion tokens only (the output layer never sees a
prompt token), reads per-example weights, and repeats exactly after a resume. Independent of stages and knowledge.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

from nesycd.core.errors import RunError
from nesycd.core.protocols import TrainReport, TrainSettings
from nesycd.core.storage import disk_errors, follow_umask, whole_file
from nesycd.students.checkpointing import checkpointed
from nesycd.students.divergence import divergence, stacked
from nesycd.students.frozen_layers import lower_states, upper_layers
from nesycd.students.memory import KeptMemory, is_out_of_memory
from nesycd.students.processes import ALONE, Processes, is_sharded

CHECKPOINT = "checkpoint"
STATE = "state.safetensors"
"""A checkpoint's only file: weights, AdamW moments, the random generator's state and, in its header, the counters."""
_RANDOM = "random"
FORWARD_TOKENS = 4096
"""Most padded tokens, with prompts, that one forward pass holds: it bounds the memory, whatever the size of a batch."""
_WINDOW = 10
"""Steps whose mean loss is reported at the end."""
HEAD_EXTRAS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Config keys of models that modify the logits after the output layer; for those it is run on every token."""
MASKLESS = {"cuda"}
"""Devices on which no padding mask is given: what fills a row comes after its text, which a causal model does not see, and
torch's flash attention takes no mask."""


@dataclass(frozen=True)
class Encoded:
    """One training text as token ids, with the weight of its loss."""

    prompt: list[int]
    completion: list[int]
    weight: float
    supplied: frozenset[int] = frozenset()
    """Indices of the completion's supplied tokens, which carry no loss."""
    states: torch.Tensor | None = field(default=None, compare=False, repr=False)
    """What the frozen lower layers make of it (`lower_states`), of shape [tokens, width]; None: it goes through all layers."""
    targets: tuple[torch.Tensor, torch.Tensor] | None = field(default=None, compare=False, repr=False)
    """What a teacher would write in place of its learned tokens (`divergence.tensors_of`); None: these are learned. All texts of
    a training have them, or none."""

    @property
    def learned(self) -> int:
        """Number of tokens that carry loss."""
        return len(self.completion) - len(self.supplied)

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def epoch_batches(texts: Sequence[Encoded], batch_tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices in batches of at most `batch_tokens` learned tokens (one text at least), of like length, in random order.

    Prompts do not count: methods that read long contexts would otherwise get more steps from the same completion tokens.
    Sorting within shuffled pools of about eight batches keeps padding low without making batches the same each epoch.
    """
    order = list(range(len(texts)))
    rng.shuffle(order)
    mean = sum(text.learned for text in texts) / max(1, len(texts))
    pool = max(1, int(8 * batch_tokens / max(1.0, mean)))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batch: list[int] = []
        for index in sorted(order[start : start + pool], key=lambda i: len(texts[i])):
            if batch and sum(texts[i].learned for i in batch) + texts[index].learned > batch_tokens:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def forward_parts(texts: Sequence[Encoded]) -> list[list[Encoded]]:
    """A batch in parts of at most `FORWARD_TOKENS` padded tokens (one text at least), whose gradients are added up."""
    parts: list[list[Encoded]] = [[]]
    for text in sorted(texts, key=len):
        # The longest one of a part is its last.
        if parts[-1] and len(text) * (len(parts[-1]) + 1) > FORWARD_TOKENS:
            parts.append([])
        parts[-1].append(text)
    return parts


def shared_parts(batch: Sequence[Encoded], processes: Processes, sharded: bool) -> list[list[Encoded]]:
    """The parts of a batch that this process computes.

    With a sharded model all make the same number of passes, since each fetches its layers from all: one that has fewer texts
    goes through one of them without weight.
    """
    parts = [part for part in forward_parts(processes.share(batch)) if part]
    if sharded:
        others = [forward_parts(processes.share(batch, rank)) for rank in range(processes.size)]
        filler = replace(min(batch, key=len), weight=0.0)
        parts += [[filler]] * (max(map(len, others)) - len(parts))
    return parts


def plan_steps(texts: Sequence[Encoded], settings: TrainSettings, seed: int) -> list[list[int]]:
    """All batches of a training, in order: whole passes over the texts, then one for what is left of `epochs` or of the budget.

    Passes have batches of their own, and not all the same number. Only the last is cut: after its share of batches (`epochs`
    below 1 is one step at least), or with the batch that reaches the budget, so that lineages compare to within one batch.
    """
    budget = settings.completion_token_budget
    if budget is None:
        whole, rest = divmod(settings.epochs, 1.0)
    else:
        whole, rest = divmod(budget, max(1, sum(text.learned for text in texts)))
    rngs = [random.Random(f"{seed}-{number}") for number in range(int(whole) + 1)]
    *passes, last = [epoch_batches(texts, settings.batch_tokens, rng) for rng in rngs]
    steps = [batch for batches in passes for batch in batches]
    if budget is None:
        return steps + last[: round(rest * len(last)) or int(not steps)]
    for batch in last:
        if rest <= 0:
            break
        steps.append(batch)
        rest -= sum(texts[i].learned for i in batch)
    return steps


def planned_tokens(texts: Sequence[Encoded], settings: TrainSettings) -> float:
    """Estimated number of tokens of a training, including prompts."""
    tokens = float(sum(map(len, texts)))
    if (budget := settings.completion_token_budget) is None:
        return tokens * settings.epochs
    return tokens * budget / max(1, sum(text.learned for text in texts))


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Linear warm-up over `warmup` of the steps, then a cosine down to a tenth of the peak."""
    warm = max(1, round(settings.warmup * steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return settings.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


class MasterWeights:
    """fp32 master weights of the adapter, which the optimiser moves; the model computes with rounded copies.

    Late steps of a cosine are smaller than bf16 can add to a weight, and would be lost without these.
    """

    def __init__(self, model: Any, settings: TrainSettings) -> None:
        self.names, self.live = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
        self.master = [p.detach().float().clone().requires_grad_() for p in self.live]
        # The second moment of 0.999 looks back on a thousand steps, many more than a small set's training has.
        # Fused: one pass over weights and moments. On a CPU the others took a tenth of a small batch's step.
        self.optimizer = torch.optim.AdamW(
            self.master, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        )

    def step(self, rate: float, processes: Processes, numbers: Sequence[float]) -> list[float]:
        """One AdamW step (gradients clipped to norm 1) from the live weights' gradients, summed over the processes.

        Args:
            rate: the learning rate.
            processes: of the training.
            numbers: their sums over the processes are returned.
        """
        for master, live in zip(self.master, self.live, strict=True):
            master.grad = None if live.grad is None else live.grad.float()
            live.grad = None
        if processes.size > 1:
            # A process whose share of a small batch is empty has none.
            for master in self.master:
                master.grad = torch.zeros_like(master) if master.grad is None else master.grad
        summed = processes.add([master.grad for master in self.master if master.grad is not None], numbers)
        torch.nn.utils.clip_grad_norm_(self.master, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.publish()
        return summed

    @torch.no_grad()
    def publish(self) -> None:
        """Round the master weights into the model."""
        for master, live in zip(self.master, self.live, strict=True):
            live.copy_(master)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and AdamW moments by name, for a safetensors file."""
        tensors = {}
        for name, master in zip(self.names, self.master, strict=True):
            tensors[f"weight.{name}"] = master.detach()
            for key, value in self.optimizer.state.get(master, {}).items():
                tensors[f"{key}.{name}"] = value
        return tensors

    @torch.no_grad()
    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`."""
        for name, master in zip(self.names, self.master, strict=True):
            master.copy_(tensors[f"weight.{name}"])
            moments = {
                key: tensors[f"{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}.{name}" in tensors
            }
            if moments:
                self.optimizer.state[master] = moments
        self.publish()


def batch_loss(model: Any, texts: Sequence[Encoded], pad_id: int) -> torch.Tensor:
    """Weighted sum of the completion tokens' cross-entropies (nats) of one padded batch."""
    losses, rows = token_losses(model, texts, pad_id)
    weights = torch.tensor([text.weight for text in texts], device=losses.device)
    return (losses * weights[rows]).sum()


def token_losses(model: Any, texts: Sequence[Encoded], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss (nats) of each learned token of one padded batch, and the row of each; both of shape [tokens].

    It is the cross-entropy, or where texts have targets the divergence from these.
    """
    logits, ids, rows = predictions(model, texts, pad_id)
    if targets := [text.targets for text in texts if text.targets is not None]:
        return divergence(logits, *stacked(targets, logits.device)), rows
    return functional.cross_entropy(logits, ids, reduction="none"), rows


def predictions(model: Any, texts: Sequence[Encoded], pad_id: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The logits of each learned token of one padded batch (fp32, of shape [tokens, vocabulary]), its id and its text's row.

    Only hidden states that predict a learned token go through the output layer.
    """
    width = max(map(len, texts))
    rows = [text.prompt + text.completion + [pad_id] * (width - len(text)) for text in texts]
    device = model.device
    ids = torch.tensor(rows, device=device)
    # From here on the text is its states, where they are kept.
    inputs = {"input_ids": ids} if texts[0].states is None else {"inputs_embeds": _padded(texts, device)}
    if device.type not in MASKLESS:
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts], device=device)
        inputs["attention_mask"] = mask
    plain_head = not any(getattr(model.config, name, None) for name in HEAD_EXTRAS)
    if plain_head:
        hidden = model.get_decoder()(**inputs, use_cache=False).last_hidden_state
    else:
        full = model(**inputs, use_cache=False).logits
    row_at, column_at = [], []
    for row, text in enumerate(texts):
        start = len(text.prompt)
        columns = [start + place for place in range(len(text.completion)) if place not in text.supplied]
        row_at += [row] * len(columns)
        column_at += columns
    rows_t, columns_t = torch.tensor(row_at, device=device), torch.tensor(column_at, device=device)
    chosen = (hidden if plain_head else full)[rows_t, columns_t - 1]
    logits = (model.get_output_embeddings()(chosen) if plain_head else chosen).float()
    return logits, ids[rows_t, columns_t], rows_t


def _padded(texts: Sequence[Encoded], device: torch.device) -> torch.Tensor:
    """The kept states of a batch, of shape [texts, tokens of the longest, width], zeros after the shorter ones."""
    rows = [text.states.to(device) for text in texts if text.states is not None]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _prepared(
    model: Any,
    texts: Sequence[Encoded],
    steps: Sequence[Sequence[int]],
    processes: Processes,
    progress: Callable[[str], None],
) -> tuple[list[Encoded], bool]:
    """The texts as this process trains on them in its share of the steps, and whether they go on from kept states."""
    if is_sharded(model):
        return list(texts), False
    if processes.size == 1:
        made = _with_states(model, texts, steps, progress)
    else:
        place = {id(text): index for index, text in enumerate(texts)}
        mine = [[place[id(text)] for text in processes.share([texts[i] for i in step])] for step in steps]
        made = _with_states(model, texts, mine, progress)
    return made, any(text.states is not None for text in made)


def _with_states(
    model: Any, texts: Sequence[Encoded], steps: Sequence[Sequence[int]], progress: Callable[[str], None]
) -> list[Encoded]:
    """The texts with their `lower_states`, those that the steps need; equal ones share them. Unchanged where none can be kept."""
    used = {tuple(texts[i].prompt + texts[i].completion) for step in steps for i in step}
    distinct = sorted(used)
    states = lower_states(model, distinct, lambda done: progress(f"frozen layers, text {done} of {len(distinct)}"))
    if states is None:
        return list(texts)
    of = dict(zip(distinct, states, strict=True))
    return [replace(text, states=of.get(tuple(text.prompt + text.completion))) for text in texts]


def accumulate(model: Any, texts: Sequence[Encoded], scale: float, pad_id: int) -> float:
    """Add the gradients of `scale` x the batch's loss; the batch is halved for as long as memory runs out."""
    live = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        # Not `backward`, which would leave some gradients added where memory runs out halfway.
        loss, gradients = _gradients(model, texts, scale, pad_id, live)
    except RuntimeError as error:
        # The others of a sharded model would wait for passes that one of them does not make.
        if len(texts) == 1 or not is_out_of_memory(error) or is_sharded(model):
            raise
    else:
        for parameter, gradient in zip(live, gradients, strict=True):
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return loss
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(texts) // 2
    return sum(accumulate(model, part, scale, pad_id) for part in (texts[:half], texts[half:]))


def _gradients(
    model: Any, texts: Sequence[Encoded], scale: float, pad_id: int, live: Sequence[torch.Tensor]
) -> tuple[float, tuple[torch.Tensor, ...]]:
    loss = batch_loss(model, texts, pad_id)
    return loss.item(), torch.autograd.grad(loss * scale, live)


class Workers:
    """Threads that compute a batch's gradients in parts, each with its share of torch's threads.

    Products of a few hundred rows keep two cores waiting for each other; a batch shared by two workers took 0.88 of the time.
    """

    def __init__(self, model: Any, pad_id: int, count: int) -> None:
        self.model, self.pad_id, self.count = model, pad_id, count
        self.live = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.threads = torch.get_num_threads()
        self.pool: ThreadPoolExecutor | None = None

    @classmethod
    def suited(cls, model: Any, pad_id: int, settings: TrainSettings) -> Workers:
        """Several on a CPU, else one. Dropout keeps to one: threads would race for its random numbers, or for a shard."""
        alone = model.device.type != "cpu" or settings.dropout > 0 or is_sharded(model)
        return cls(model, pad_id, 1 if alone else min(torch.get_num_threads(), 4))

    def __enter__(self) -> Workers:
        if self.count > 1:
            each = self.threads // self.count
            self.pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(each,))
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            # A thread's setting is also what threads made later start with.
            torch.set_num_threads(self.threads)

    def accumulate(self, texts: Sequence[Encoded], scale: float) -> float:
        """As the function of that name; gradients are added in the order of the workers, so that runs repeat exactly."""
        if self.pool is None or len(texts) < 2 * self.count:
            return accumulate(self.model, texts, scale, self.pad_id)
        parts = [texts[worker :: self.count] for worker in range(self.count)]
        try:
            made = list(self.pool.map(lambda part: _gradients(self.model, part, scale, self.pad_id, self.live), parts))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return accumulate(self.model, texts, scale, self.pad_id)
        for parameter, *gradients in zip(self.live, *(gradients for _, gradients in made), strict=True):
            added = sum(gradients[1:], start=gradients[0])
            parameter.grad = added if parameter.grad is None else parameter.grad + added
        return sum(loss for loss, _ in made)


def _random_state(device: torch.device) -> torch.Tensor:
    """State of the generator that dropout draws from on a device (bytes)."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: torch.Tensor) -> None:
    """Restore the result of `_random_state`."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.set_rng_state(state)


def _save_checkpoint(
    folder: Path, masters: MasterWeights, counters: dict[str, Any], device: torch.device, processes: Processes
) -> None:
    """Write a checkpoint in the first process, with the random states of all."""
    states = processes.gathered(_random_state(device), device)
    if processes.rank > 0:
        return
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    tensors = {**masters.state(), **{_random_name(rank): state for rank, state in enumerate(states)}}
    with whole_file(folder / STATE) as part:
        save_file(tensors, part, metadata={"counters": json.dumps(counters)})
        follow_umask(part)


def _random_name(rank: int) -> str:
    return f"{_RANDOM}.{rank}" if rank else _RANDOM


def _load_checkpoint(
    folder: Path, masters: MasterWeights, device: torch.device, processes: Processes
) -> dict[str, Any]:
    """Restore the checkpoint and return its counters; initial counters where there is no checkpoint.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return {"step": 0, "tokens": 0, "completion_tokens": 0, "seconds": 0.0, "losses": []}
    try:
        with safe_open(path, framework="pt") as stream:
            counters: dict[str, Any] = json.loads(stream.metadata()["counters"])
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: not a readable checkpoint ({error}); delete it to have the training begin anew"
        ) from None
    # Begun by fewer processes, a training has no state for this one, which goes on with its own.
    if (state := tensors.get(_random_name(processes.rank))) is not None:
        _set_random_state(device, state)
    masters.restore(tensors)
    return counters


def _weight(batch: Sequence[Encoded]) -> float:
    """Of all completion tokens of a batch."""
    return sum(text.weight * text.learned for text in batch)


def fine_tune(
    model: Any,
    texts: Sequence[Encoded],
    settings: TrainSettings,
    folder: Path,
    *,
    seed: int,
    pad_id: int,
    progress: Callable[[dict[str, Any]], None] | None = None,
    note: str = "",
    processes: Processes = ALONE,
    checkpointing: bool = False,
    memory: tuple[str, str] = ("", ""),
) -> TrainReport:
    """Train the adapter that is active in `model`; checkpoints go to `folder/checkpoint`, and an existing one resumes.

    Args:
        model: the peft model's inner causal LM (`.model`, `.lm_head`, adapter layers that require gradients).
        texts: at least one; none longer than `settings.max_tokens`.
        settings: hyperparameters.
        folder: the adapter's folder; several processes share it.
        seed: decides the order of batches.
        pad_id: filler for shorter rows.
        progress: gets `{"step", "steps", "loss", "tokens_per_second"}` after each step.
        note: what the first step waits for; `progress` gets it before that, as `{"step", "steps", "note"}`.
        processes: those that share the training; each is called with the same arguments.
        checkpointing: whether layers are run again in the backward pass, to save memory.
        memory: what is estimated, and a warning where that may not suffice; `progress` gets them first, as `note` and `warning`.

    Raises:
        RunError: the disk is full (the last checkpoint is kept), or the checkpoint is damaged.
    """
    steps = plan_steps(texts, settings, seed)
    usual = sum(_weight([texts[i] for i in step]) for step in steps) / max(1, len(steps))
    masters = MasterWeights(model, settings)
    if processes.size > 1:
        torch.manual_seed(hash((seed, processes.rank)) % (1 << 63))  # each draws other units for dropout
    counters = _load_checkpoint(folder / CHECKPOINT, masters, model.device, processes)
    processes.agree(masters.master)
    masters.publish()
    started = saved = time.monotonic()
    before = counters["seconds"]

    def tell(what: str, **others: str) -> None:
        if progress is not None:
            progress({"step": counters["step"], "steps": len(steps), "note": what, **others})

    if memory[0]:
        tell(memory[0], warning=memory[1])
    kept = KeptMemory()
    model.eval()
    texts, keeps_states = _prepared(model, texts, steps[counters["step"] :], processes, tell)
    model.train()
    if note:
        tell(note)
    with (
        upper_layers(model) if keeps_states else nullcontext(),
        checkpointed(model, draws=settings.dropout > 0) if checkpointing else nullcontext(),
        Workers.suited(model, pad_id, settings) as workers,
    ):
        for number in range(counters["step"], len(steps)):
            batch = [texts[i] for i in steps[number]]
            # Divided by the usual batch's weight, not by its own, which would make each batch count alike: a text's weight
            # would count for nothing among its like, which lie together since batches are of like length.
            scale = 1.0 / max(usual, 1e-9)
            parts = shared_parts(batch, processes, is_sharded(model))
            summed = sum(workers.accumulate(part, scale) for part in parts)
            due = processes.rank == 0 and time.monotonic() - saved > settings.checkpoint_seconds
            rate = learning_rate(number, len(steps), settings)
            summed, saves = masters.step(rate, processes, [summed, float(due)])
            loss = summed / max(_weight(batch), 1e-9)
            counters["losses"] = [*counters["losses"][1 - _WINDOW :], loss]
            counters["step"] = number + 1
            counters["tokens"] += sum(map(len, batch))
            counters["completion_tokens"] += sum(text.learned for text in batch)
            counters["seconds"] = before + time.monotonic() - started
            if progress is not None:
                pace = counters["tokens"] / max(counters["seconds"], 1e-9)
                progress({"step": number + 1, "steps": len(steps), "loss": loss, "tokens_per_second": pace})
            kept.bound()
            if saves:
                _save_checkpoint(folder / CHECKPOINT, masters, counters, model.device, processes)
                saved = time.monotonic()
    model.eval()
    return TrainReport(
        steps=len(steps),
        tokens=counters["tokens"],
        completion_tokens=counters["completion_tokens"],
        loss=sum(counters["losses"]) / max(1, len(counters["losses"])),
        dropped=0,
        seconds=counters["seconds"],
    )
