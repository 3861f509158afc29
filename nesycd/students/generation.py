"""Batched decoding, greedily or sampled, that also gives the router's signal.

It does not use the library's `generate`, which gives no top-2 margins without storing every step's logits, and copies the cache
at every step: at 256 rows on 2 cores that copy took 64 % of a decoding step. On a CPU the rows are distributed over workers,
one per core, since small matrix products do not use several cores well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from nesycd.core.answers import Finish
from nesycd.students.supplying import RANKED, Supplier

GROWTH = 64
"""Positions added to a full cache buffer at once."""
WORKER_ROWS = 32
"""Least number of rows of a worker."""
READ_AT_ONCE = 2048
"""Padded prompt tokens that a CPU processes at once: activations of more do not fit into its caches."""
SHARED = 128
"""Least length in tokens of a common prefix of all prompts (examples, a whole knowledge base) that is processed only once."""


class RoomyLayer(DynamicLayer):
    """A cache layer that writes into a preallocated buffer instead of concatenating at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.buffers: list[torch.Tensor] = []

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Append states of shape [rows, heads, new positions, head size]; return all states so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers = []
        end = self.length + key_states.shape[-2]
        if not self.buffers or end > self.buffers[0].shape[-2]:
            self.buffers = [self._grown(old, new, end + GROWTH) for old, new in self._pairs(key_states, value_states)]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.length : end] = new
        self.length = end
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def _pairs(self, *new: torch.Tensor) -> list[tuple[torch.Tensor | None, torch.Tensor]]:
        return list(zip(self.buffers or [None, None], new, strict=True))

    def _grown(self, old: torch.Tensor | None, new: torch.Tensor, positions: int) -> torch.Tensor:
        buffer = new.new_zeros(*new.shape[:2], positions, new.shape[3])
        if old is not None:
            buffer[:, :, : self.length] = old[:, :, : self.length]
        return buffer

    def take_over(self, parts: Sequence[RoomyLayer]) -> None:
        """Take over the rows of these layers, concatenated; their buffers are released."""
        self.lazy_initialization(*(buffer[:, :, :1] for buffer in parts[0].buffers))
        self.length = parts[0].length
        whole = []
        for number in range(2):
            each = [part.buffers[number][:, :, : self.length] for part in parts]
            first, rows = each[0], [len(states) for states in each]
            buffer = first.new_zeros(sum(rows), first.shape[1], self.length + GROWTH, first.shape[3])
            for states, place in zip(each, buffer[:, :, : self.length].split(rows), strict=True):
                place.copy_(states)
            whole.append(buffer)
        self.buffers = whole
        self.keys, self.values = (buffer[:, :, : self.length] for buffer in whole)
        for part in parts:
            part.buffers, part.keys, part.values = [], None, None

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows only."""
        if self.buffers:
            self.buffers = [buffer[indices] for buffer in self.buffers]
            self.keys, self.values = (buffer[:, :, : self.length] for buffer in self.buffers)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row `repeats` times."""
        if self.buffers:
            self.batch_select_indices(torch.arange(len(self.buffers[0])).repeat_interleave(repeats))


def roomy_cache(config: Any) -> DynamicCache:
    """The model's usual cache with its plain layers replaced by `RoomyLayer` (sliding or hybrid ones stay)."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """Length of the common prefix of all prompts in tokens; at least one token of each prompt is not part of it."""
    first, last = min(prompts), max(prompts)  # in lexicographic order, their common prefix is that of all
    end = min(map(len, prompts)) - 1
    return next((place for place in range(end) if first[place] != last[place]), end)


@dataclass(frozen=True)
class Sampling:
    """How one answer is sampled: each token takes one number, so that an answer does not depend on those beside it.

    Attributes:
        temperature: above 0.
        draw: the next number, uniform in [0, 1).
    """

    temperature: float
    draw: Callable[[], float]


class Row:
    """The state of one answer during generation.

    Args:
        supply: called with the ids so far; the tokens that it returns come next.
        stops: called likewise; True ends the row (the ids are kept).
        limit: most tokens.
        sampling: None: the likeliest token is taken.
    """

    def __init__(
        self,
        supply: Supplier | None,
        stops: Callable[[list[int]], bool] | None = None,
        limit: int = 1 << 30,
        sampling: Sampling | None = None,
    ) -> None:
        self.supply, self.stops, self.limit, self.sampling = supply, stops, limit, sampling
        self.ids: list[int] = []
        self.supplied: list[bool] = []
        """For each token of `ids`, whether it was supplied by a tool."""
        self.margins: list[float] = []
        self.finish: Finish = "length"
        self.done = False
        self.given: list[int] = []
        """Supplied tokens still to be inserted."""
        self.next_supplied = False


def greedy_with_workers(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    supplies: Sequence[Supplier | None] | None = None,
    samplings: Sequence[Sampling | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Row]:
    """As `greedy`; on a CPU the rows are distributed over workers (threads), each with its share of torch's threads.

    Worker assignment depends only on row and thread counts, so output is deterministic.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(prompts) // WORKER_ROWS) if model.device.type == "cpu" else 1
    if workers < 2:
        return greedy(model, prompts, supplies=supplies, samplings=samplings, progress=progress, **options)

    def part(worker: int) -> list[Row]:
        mine = {
            "supplies": None if supplies is None else supplies[worker::workers],
            "samplings": None if samplings is None else samplings[worker::workers],
        }
        # The workers' shares are alike, so that one of them tells for all.
        told = None if worker else progress
        return greedy(model, prompts[worker::workers], progress=told, **mine, **options)

    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            parts = list(pool.map(part, range(workers)))
    finally:
        # The setting of one thread becomes the default of threads created later.
        torch.set_num_threads(threads)
    return [parts[index % workers][index // workers] for index in range(len(prompts))]


@torch.inference_mode()
def greedy(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    eos_ids: frozenset[int],
    pad_id: int,
    max_new_tokens: int,
    stops: Any = None,
    supplies: Sequence[Supplier | None] | None = None,
    samplings: Sequence[Sampling | None] | None = None,
    repetitive: Callable[[list[int]], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Continue each prompt, greedily or sampled. A long common prefix (`SHARED`) is processed only once.

    Args:
        model: a causal LM of transformers (an adapter may be active in it).
        prompts: token ids, one list a row; rows are padded on the left, after the common prefix.
        eos_ids: ids that end an answer.
        pad_id: filler for shorter rows.
        max_new_tokens: limit for each row, in tokens.
        stops: called with a row's ids so far; True ends the row (the ids are kept).
        supplies: one for each prompt (None: nothing; see `Row`). What they supply has no margin, since nobody chose it.
        samplings: one for each prompt (None: it is continued greedily).
        repetitive: called likewise; True ends the row as one that was cut off (see `is_repetitive`).
        progress: called after each token with the number of tokens so far and `max_new_tokens`.

    Returns:
        Rows in the order of the prompts: ids without the end token, and p1 - p2 in [0, 1] where each token was chosen, whichever
        it was.
    """
    device = model.device
    cache = roomy_cache(model.config)
    shared = _read_shared(model, prompts, cache)
    width = max(len(ids) for ids in prompts)
    padding = [width - len(row) for row in prompts]
    ids = torch.tensor(
        [[pad_id] * pad + row[shared:] for pad, row in zip(padding, prompts, strict=True)], device=device
    )
    mask = torch.tensor([[1] * shared + [0] * pad + [1] * (width - shared - pad) for pad in padding], device=device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
    alive = rows = [
        Row(supply, stops, max_new_tokens, sampling)
        for supply, sampling in zip(supplies or [None] * len(prompts), samplings or [None] * len(prompts), strict=True)
    ]
    logits = read(model, ids, mask, positions, cache)
    for step in range(max_new_tokens):
        if step:
            logits = read_next(model, ids, mask, mask.sum(1, keepdim=True) - 1, cache)
        chosen, keep = decide(alive, logits, eos_ids, repetitive)
        if progress is not None:
            progress(step + 1, max_new_tokens)
        if not keep:
            break
        ids = torch.tensor(chosen, device=device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], 1)
        # Compacting copies the cache, so it pays off only when a quarter of the rows is done.
        if len(keep) <= 0.75 * len(alive):
            index = torch.tensor(keep, device=device)
            cache.batch_select_indices(index)
            ids, mask, alive = ids[index], mask[index], [alive[i] for i in keep]
    return rows


def decide(
    alive: list[Row], logits: Any, eos_ids: frozenset[int], repetitive: Callable[[list[int]], bool] | None
) -> tuple[list[int], list[int]]:
    """The next token of each row, appended to those that are not done, and the indices of the rows that go on.

    Args:
        alive: the rows; those that are done stay as they are.
        logits: of the token that comes next, shape [rows, vocabulary].
        eos_ids, repetitive: see `greedy`.
    """
    top = torch.softmax(logits.float(), -1).topk(2)
    chosen, margins = top.indices[:, 0].tolist(), (top.values[:, 0] - top.values[:, 1]).tolist()
    _sample(alive, chosen, logits)
    _hold(alive, chosen, logits)
    _give(alive, chosen)
    return chosen, _advance(alive, chosen, margins, eos_ids, repetitive)


def read_next(model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache) -> Any:
    """Logits of the token after the last of each row, shape [rows, vocabulary]; the cache grows."""
    return model(
        ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    ).logits[:, -1]


def read(model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache) -> Any:
    """As `read_next`, for whole prompts: on a CPU in chunks of a few rows, whose states are then moved into the cache."""
    at_once = max(1, READ_AT_ONCE // ids.shape[1])
    plain = all(type(layer) is RoomyLayer for layer in cache.layers)
    if ids.device.type != "cpu" or not plain or at_once >= len(ids):
        return read_next(model, ids, mask, positions, cache)
    logits, parts = [], []
    for rows in torch.arange(len(ids)).split(at_once):
        part = roomy_cache(model.config)
        if cache.get_seq_length():
            # The common prefix is in the cache already.
            for layer, whole in zip(part.layers, cache.layers, strict=True):
                layer.update(whole.keys[rows], whole.values[rows])
        logits.append(read_next(model, ids[rows], mask[rows], positions[rows], part))
        parts.append(part)
    for number, layer in enumerate(cache.layers):
        layer.take_over([part.layers[number] for part in parts])
    return torch.cat(logits)


def _read_shared(model: Any, prompts: Sequence[list[int]], cache: DynamicCache) -> int:
    """Fill the cache with the common prefix of all prompts; return its length in tokens, 0 where it is too short.

    Padding comes after it, so only layers with full attention allow this: a sliding window would count the padding.
    """
    shared = shared_prefix(prompts) if len(prompts) > 1 else 0
    if shared < SHARED or not all(type(layer) is RoomyLayer for layer in cache.layers):
        return 0
    ids = torch.tensor([prompts[0][:shared]], device=model.device)
    model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(len(prompts))
    return shared


def _sample(alive: list[Row], chosen: list[int], logits: Any) -> None:
    """Replace chosen tokens by sampled ones: the inverse of the cumulative distribution at the row's next number."""
    sampled = {place: row.sampling for place, row in enumerate(alive) if not row.done and not row.given}
    samplings = {place: sampling for place, sampling in sampled.items() if sampling is not None}
    if not samplings:
        return
    heat = torch.tensor([one.temperature for one in samplings.values()], device=logits.device)[:, None]
    sums = torch.softmax(logits[[*samplings]].float() / heat, -1).cumsum(-1)
    drawn = torch.tensor([one.draw() for one in samplings.values()], device=logits.device)[:, None] * sums[:, -1:]
    found = torch.searchsorted(sums, drawn, right=True).clamp(max=sums.shape[-1] - 1)
    for place, token in zip(samplings, found[:, 0].tolist(), strict=True):
        chosen[place] = token


def _hold(alive: list[Row], chosen: list[int], logits: Any) -> None:
    """Replace chosen tokens that may not stand here by the likeliest that may (`Supplier.pick`)."""
    for place, row in enumerate(alive):
        if row.done or row.given or row.supply is None:
            continue
        supplied = bool(row.supplied) and row.supplied[-1]
        if not supplied and not row.supply.is_calling(row.ids):
            continue

        def ranked(place: int = place) -> list[int]:
            found: list[int] = logits[place].topk(RANKED).indices.tolist()
            return found

        chosen[place] = row.supply.pick(row.ids, chosen[place], ranked, supplied)


def _give(alive: list[Row], chosen: list[int]) -> None:
    """Replace chosen tokens by supplied ones."""
    for place, row in enumerate(alive):
        row.next_supplied = bool(row.given)
        if row.given:
            chosen[place] = row.given.pop(0)


def _advance(
    alive: list[Row],
    chosen: list[int],
    margins: list[float],
    eos_ids: frozenset[int],
    repetitive: Callable[[list[int]], bool] | None,
) -> list[int]:
    """Append one token to each unfinished row; return the indices of rows that continue."""
    going = []
    for place, (row, token, margin) in enumerate(zip(alive, chosen, margins, strict=True)):
        if row.done:
            continue
        if not row.next_supplied:
            row.margins.append(margin)
        if token in eos_ids and not row.next_supplied:
            row.finish, row.done = "stop", True
            continue
        row.ids.append(token)
        row.supplied.append(row.next_supplied)
        if row.stops is not None and not row.next_supplied and row.stops(row.ids):
            row.finish, row.done = "stop", True
            continue
        if repetitive is not None and repetitive(row.ids):
            row.done = True
            continue
        if row.supply is not None and not row.given:
            row.given = row.supply(row.ids)
        if len(row.ids) >= row.limit:
            row.done = True
            continue
        going.append(place)
    return going
