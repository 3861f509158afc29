"""Layers below the first adapted one: training leaves them as they are, so their result for a text is computed once.

With adapters in the upper half of the layers only, a step costs half as much: neither direction goes through the lower half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch

MEMORY = 4 << 30
"""Most bytes of hidden states that are kept; of larger data the lower layers are run at each step, without gradients."""
_TOLERANCE = 0.02
"""Greatest difference, relative to the largest value, between a text that goes through all layers and one that continues from
kept states: bf16 has steps of 0.008."""


class _Reached(Exception):
    """Ends a forward pass at the first adapted layer."""


def layers_of(model: Any) -> torch.nn.ModuleList:
    """The layers of a causal LM: its decoder's longest module list."""
    lists = [module for module in model.get_decoder().children() if isinstance(module, torch.nn.ModuleList)]
    return max(lists, key=len, default=torch.nn.ModuleList())


def first_adapted(model: Any) -> int:
    """Index of the lowest layer with a weight that is trained; 0 where something outside the layers is trained too."""
    layers = layers_of(model)
    inside = {id(p) for layer in layers for p in layer.parameters()}
    if any(p.requires_grad and id(p) not in inside for p in model.parameters()):
        return 0
    trained = (i for i, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters()))
    return next(trained, 0)


@torch.no_grad()
def lower_states(
    model: Any, texts: Sequence[Sequence[int]], progress: Callable[[int], None] | None = None
) -> list[torch.Tensor] | None:
    """What the layers below the first adapted one make of each text, each of shape [tokens, width]; None where it cannot be used.

    That is: no layer is below; the states would take more than `MEMORY`; the model is not one whose upper layers can go on
    from them (tested on the longest text). Each text goes forward by itself, so that its states depend on nothing else.

    Args:
        model: a causal LM with its adapters.
        texts: token ids.
        progress: gets the number of texts done.
    """
    first, layers = first_adapted(model), layers_of(model)
    width = model.get_input_embeddings().weight.shape[1]
    if first == 0 or not texts or sum(map(len, texts)) * width * model.dtype.itemsize > MEMORY:
        return None
    found: list[torch.Tensor] = []

    def keep(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append((given[0] if given else named["hidden_states"])[0])
        raise _Reached

    decoder = model.get_decoder()
    hook = layers[first].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        for ids in texts:
            with suppress(_Reached):
                decoder(torch.tensor([ids], device=model.device), use_cache=False)
            if progress is not None:
                progress(len(found))
    finally:
        hook.remove()
    longest = max(range(len(texts)), key=lambda index: len(texts[index]))
    return found if _goes_on(model, texts[longest], found[longest]) else None


@contextmanager
def upper_layers(model: Any) -> Iterator[None]:
    """The decoder without its frozen lower layers: it takes `lower_states` as `inputs_embeds`."""
    layers = layers_of(model)
    removed = list(layers)[: first_adapted(model)]
    del layers[: len(removed)]
    try:
        yield
    finally:
        upper = list(layers)
        del layers[:]
        layers.extend([*removed, *upper])


def _goes_on(model: Any, ids: Sequence[int], states: torch.Tensor) -> bool:
    """Whether the upper layers make the same of kept states as of the whole text; some models treat embeddings in other ways."""
    decoder = model.get_decoder()
    whole = decoder(torch.tensor([ids], device=model.device), use_cache=False).last_hidden_state
    try:
        with upper_layers(model):
            continued = decoder(inputs_embeds=states[None], use_cache=False).last_hidden_state
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    return bool((whole - continued).abs().max() <= _TOLERANCE * whole.abs().max())
