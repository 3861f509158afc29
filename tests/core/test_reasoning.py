"""Reasoning is taken off an answer in every form in which models write it, and nothing else is."""

from __future__ import annotations

import time

import pytest

from nesycd.core.reasoning import without_reasoning


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 4.\n", "The answer is 4.\n"),
        ("<think>2 and 2?</think>\n\nThe answer is 4.", "The answer is 4."),
        ("2 and 2? </think>\n\nThe answer is 4.", "The answer is 4."),
        ("<think>\n2 and 2? The answer is 5", ""),
        ("<think></think>", ""),
        ("  <THINKING>a</THINKING>b", "b"),
        ("<thought>a\n</thought>b", "b"),
        ("<seed:think>a</seed:think>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<think>a <think> b </think> c </think>d", "d"),
        ("First 2. <think>and 2?</think>Then 4.", "First 2. Then 4."),
        ("First 2.\n<think>and 2? and so on", "First 2."),
        ("First 2. <think>and 2? and so on", "First 2."),
        ("It is **4.** <think>or 5", "It is **4.**"),
        ("It is 4.<think>or 5", "It is 4."),
        ("It is 4<think>or 5", "It is 4"),
        ("It is 4.<think>is it? Yes.</think>", "It is 4."),
        ("Write <think> before the plan.", "Write <think> before the plan."),
        ("Write `<think>` before the plan.", "Write `<think>` before the plan."),
        ("Write [think] before the plan.", "Write [think] before the plan."),
        ("<|channel|>analysis<|message|>2?<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>", "4"),
        ("<|channel|>analysis<|message|>2 and 2?", ""),
    ],
)
def test_what_is_left_is_the_answer(text: str, answer: str) -> None:
    assert without_reasoning(text) == answer


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "<think>a</think>", "<", "[THINK", "<|channel|>", "a\n<think>b "]
)
def test_a_long_text_takes_no_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.perf_counter()
    without_reasoning(text)
    assert time.perf_counter() - began < 0.3
