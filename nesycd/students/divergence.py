"""How far a student's next-token distribution is from a teacher's, of which the likeliest tokens are known.

After GKD (Agarwal et al. 2024, arXiv 2306.13649). The distributions are compared over these tokens and all others together as
one outcome: a lower bound of the divergence over the whole vocabulary, which is zero where both agree on these. A server tells no
more, and records stay small.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nesycd.core.records import Targets

BETA = 0.5
"""0: KL(teacher || student), which covers all that the teacher might write; 1: KL(student || teacher), which keeps to what it
most likely writes; between them the Jensen-Shannon divergence of both."""
_LEAST = 1e-6
"""Least probability of the other tokens together; below it their log-ratio would be rounding."""


def tensors_of(targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids (int64) and the log-probabilities (fp32) of a text's targets, both of shape [learned tokens, candidates]."""
    ids = torch.tensor([[token for token, _ in place] for place in targets])
    return ids, torch.tensor([[value for _, value in place] for place in targets], dtype=torch.float32)


def divergence(logits: torch.Tensor, ids: torch.Tensor, logprobs: torch.Tensor, beta: float = BETA) -> torch.Tensor:
    """Generalised Jensen-Shannon divergence (nats) at each place, of shape [tokens].

    D = beta KL(teacher || m) + (1 - beta) KL(student || m) with m = beta teacher + (1 - beta) student; for `beta` 0 and 1 the
    forward and the reverse KL, as TRL's GKDTrainer has it.

    Args:
        logits: of the student, of shape [tokens, vocabulary].
        ids: the teacher's candidates, of shape [tokens, candidates], each once.
        logprobs: its log-probabilities of them (nats).
        beta: in [0, 1].
    """
    student = _outcomes(torch.log_softmax(logits, -1).gather(-1, ids))
    teacher = _outcomes(logprobs)
    if beta == 0:
        return _kl(teacher, student)
    if beta == 1:
        return _kl(student, teacher)
    weights = logprobs.new_tensor([beta, 1 - beta]).log()
    mixed = torch.logsumexp(torch.stack([teacher + weights[0], student + weights[1]]), 0)
    return beta * _kl(teacher, mixed) + (1 - beta) * _kl(student, mixed)


def _outcomes(logprobs: torch.Tensor) -> torch.Tensor:
    """The log-probabilities of the candidates, and of all other tokens as the last outcome."""
    others = (1 - logprobs.exp().sum(-1, keepdim=True)).clamp(min=_LEAST).log()
    return torch.cat([logprobs, others], -1)


def _kl(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.exp() * (one - other)).sum(-1)


def stacked(targets: Sequence[tuple[torch.Tensor, torch.Tensor]], device: torch.device) -> tuple[torch.Tensor, ...]:
    """The ids and the log-probabilities of several texts, one after the other."""
    return tuple(torch.cat(parts).to(device) for parts in zip(*targets, strict=True))
