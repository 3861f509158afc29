"""The reasoning that a model writes before its answer, taken off: `<think>…</think>` and its kin.

Servers with a reasoning parser send it in a field of its own; all others leave it in the text.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(?i:think|thinking|thought|seed:think)>|\[(/?)THINK\]|◁(/?)think▷")
_CHANNEL = "<|channel|>"
_FINAL = f"{_CHANNEL}final<|message|>"
_END = re.compile(r"<\|(?:return|end)\|>\s*\Z")


def without_reasoning(text: str) -> str:
    """A response without its blocks of reasoning; "" where it is nothing else.

    A block that is not closed lasts to the end (the response was cut off in it), unless its tag is a word of a sentence
    ("Write <think> first"). One that is closed without having been opened began with the text: some chat templates write
    `<think>` into the prompt.

    >>> without_reasoning("<think>2 and 2?</think>The answer is 4.")
    'The answer is 4.'
    """
    if text.lstrip().startswith(_CHANNEL):
        return _END.sub("", text.rpartition(_FINAL)[2]) if _FINAL in text else ""
    kept: list[str] = []
    start, opened = 0, -1
    for tag in _TAG.finditer(text):
        if not any(tag.groups()):
            if opened < 0:
                kept.append(text[start : tag.start()])
                start = opened = tag.start()
            continue
        if opened < 0:
            kept.clear()
        start, opened = tag.end(), -1
    if opened < 0 or _within_sentence(text[:opened]):
        kept.append(text[start:])
    return text if kept == [text] else "".join(kept).strip()


def _within_sentence(before: str) -> bool:
    """Whether what follows this text goes on with a sentence, as a word apart from the last or in quotes."""
    line = before.rpartition("\n")[2]
    said = line.rstrip()
    if said == line:
        return said.endswith(("'", '"', "`", "("))
    return bool(said) and said.rstrip("*_\"')")[-1:] not in (*".!?", "")
