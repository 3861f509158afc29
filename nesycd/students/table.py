"""The table student: a fake small model without torch, for docs and for fast runs of the whole method.

What it can do, and all it can do:

- *Memorise.* Training stores prompts and completions. Asked something, it recalls the completion whose prompt shares
  the most words with this one (numbers are not words; later training wins ties).
- *Adapt numbers.* The recalled completion is replayed from left to right. A number that was copied there from the
  question or the knowledge is copied from the same place here; one that was the sum, difference, product or quotient
  of two earlier ones is computed anew; any other is repeated as memorised.
- *Restate knowledge.* A knowledge line that the recalled completion restated is replaced by the line of this prompt
  that stands in its place, lines being ranked by the words they share with the question.
- *Make calls.* Where something was supplied in the recalled completion, and wherever else its text ends as a call does,
  the tools are asked. The name in such a call is replaced by what stands in its place in this question, or by the
  earlier result that it was; what is supplied stands for what was supplied then, also in what repeats it and in what is
  computed from it. Where nothing is found it guesses: it goes on with the memorised value. It takes a result that
  begins with a parenthesis for a note that nothing was found, and own text after such a note, up to the next stop, for
  the value. Without tools it repeats what was supplied then as its own.
- *Sample.* Asked at a temperature it recalls, in half of all cases, the second nearest in place of the nearest.
- *Score.* The tokens that it would have written are the words of its own answer, one for one. A text whose targets are not
  its words it does not memorise.
- *Read.* A part of a statement or goal (`Ann | mother | Bea`, `[derive: Ann | ? | Bea]`) that stood in the question is replaced
  by what stands in its place in this one.

So closed-book it is right where it has seen the same fact in a question of the same form, and wrong with confidence
where it has not; given the fact it mostly gets it right. Its tokens are words; its margin is the share of the
question's words that the recalled prompt has. It is no language model: use its figures only in tests.

It understands prompts with a block `Knowledge:` of `- ` lines and a part that begins with `Question:`; of calls it knows
only that a name stands in `[name |` (see `table_memory`).
"""

from __future__ import annotations

import json
import math
import random
import re
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nesycd.core.answers import Finish
from nesycd.core.errors import ModelError
from nesycd.core.protocols import LEAST, Decoding, Generation, Prompt, TrainReport, TrainSettings
from nesycd.core.records import Targets, TrainingText, content_hash
from nesycd.core.segments import Segment, text_of
from nesycd.core.storage import write_json_atomic
from nesycd.students.table_memory import Memory, Parts, Program, Writer

ADAPTER = "adapter.json"
PROGRESS = "progress.json"
UNKNOWN = "I do not know."


class TableStudent:
    """A `protocols.Student` that memorises; see the module for what it can do.

    Args:
        name: name in records.
        context: longest prompt in words; longer ones are `too_long`.
        batch: prompts in one generation batch, and texts in one training step.
        delay: seconds to sleep at each training step and generation batch, so that a kill can hit it.
    """

    def __init__(self, name: str = "table", context: int = 2048, batch: int = 32, delay: float = 0.0) -> None:
        self.name = name
        self.context = context
        self.batch = batch
        self.delay = delay
        self.fingerprint = content_hash(["table/3", context, batch])
        self.decoding = ""
        self._loaded: dict[tuple[Path, int], Memory] = {}

    def load(self) -> None:
        """See `Student.load`: there is nothing to load."""

    def train(
        self,
        texts: Sequence[TrainingText],
        settings: TrainSettings,
        folder: Path,
        *,
        seed: int,
        init: Path | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> TrainReport:
        """Memorise texts in a seeded order; the folder gets `adapter.json`, and `progress.json` while it is going on.

        A step takes `batch` texts. Fewer epochs than one, or a small token budget, leave the last texts unseen. Called
        again with the same arguments it goes on after the last step written, or returns the finished report.

        Raises:
            ModelError: `init` is not an adapter folder, or no text can be trained on.
        """
        started = time.monotonic()
        kept = [text for text in texts if _length(text.prompt) + _length(text.completion) <= settings.max_tokens]
        if not any(text.weight > 0 for text in kept):
            raise ModelError(f"{self.name}: none of the {len(texts)} training texts can be used (too long or weight 0)")
        past = _read_adapter(init)["table"] if init else []
        inputs = content_hash([self.fingerprint, [text.to_json() for text in texts], asdict(settings), seed, past])
        finished = _finished(folder, inputs)
        if finished is not None:
            return finished
        steps = self._steps(kept, settings)
        order = random.Random(seed).sample(kept, len(kept))
        folder.mkdir(parents=True, exist_ok=True)
        done = _resume_step(folder, inputs)
        for step in range(done + 1, steps + 1):
            time.sleep(self.delay)
            # A fake loss that falls as more is memorised.
            state = {"step": step, "steps": steps, "loss": 1 / (1 + step)}
            write_json_atomic(folder / PROGRESS, {**state, "inputs": inputs}, indent=None)
            if progress:
                progress({**state, "tokens_per_second": 0.0})
        visits = [order[index % len(order)] for index in range(self._visits(kept, settings))]
        table = past + [_row(text) for text in visits[: len(order)] if text.weight > 0 and _agrees(text)]
        report = TrainReport(
            steps=steps,
            tokens=sum(_length(text.prompt) + _length(text.completion) for text in visits),
            completion_tokens=sum(_length(text.own_text) for text in visits),
            loss=1 / (1 + steps),
            dropped=len(texts) - len(kept),
            seconds=time.monotonic() - started,
        )
        content = {"inputs": inputs, "table": table, "report": asdict(report)}
        write_json_atomic(folder / ADAPTER, content, indent=None)
        (folder / PROGRESS).unlink(missing_ok=True)
        return report

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Batches of like length, longest first."""
        order = sorted(range(len(prompts)), key=lambda index: (-_length(prompts[index].text), index))
        return [order[start : start + self.batch] for start in range(0, len(order), self.batch)]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None,
        decoding: Decoding,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """Recall and adapt; without an adapter it says that it does not know, with margin 0. All tokens come at once.

        Raises:
            ModelError: `adapter` is not an adapter folder of this student.
        """
        time.sleep(self.delay)
        memory = self._memory(adapter) if adapter else None
        parts = [Parts(prompt.text) for prompt in prompts]
        ranks = [_rank(prompt, decoding) for prompt in prompts]
        recalled = memory.recall(parts, ranks) if memory else [None] * len(parts)
        return [self._generation(*one, decoding) for one in zip(prompts, parts, recalled, strict=True)]

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """Minus one for each word in which a completion differs from the student's own answer, up to `LEAST`, over `LEAST`."""
        own = self.generate(prompts, adapter=adapter, decoding=Decoding(self.context))
        return [
            -min(_differences(made.text, wanted), LEAST) / LEAST for made, wanted in zip(own, completions, strict=True)
        ]

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]:
        """The word of its own answer at each place, with nine tenths, and the one that stands there, by the words' hashes."""
        asked = [Prompt(str(place), prompt) for place, prompt in enumerate(prompts)]
        own = self.generate(asked, adapter=adapter, decoding=Decoding(self.context))
        found: list[Targets] = []
        for made, stands in zip(own, completions, strict=True):
            words = [*made.text.split(), ""]
            found.append(
                tuple(
                    ((_token(words[min(place, len(words) - 1)]), math.log(0.9)), (_token(word), math.log(0.1)))[:count]
                    for place, word in _own_words(stands)
                )
            )
        return found

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [_length(text) for text in texts]

    def _generation(
        self, prompt: Prompt, parts: Parts, recalled: tuple[Program, float] | None, decoding: Decoding
    ) -> Generation:
        size = _length(prompt.text)
        if size > self.context:
            return Generation.too_long(size)
        writer = Writer(prompt.tools, prompt.question)
        margin = 0.0
        if recalled is None:
            writer.own(UNKNOWN)
        else:
            program, margin = recalled
            program.run(parts, writer)
        text = writer.text[: min(map(writer.before, decoding.stop), default=None)]
        finish: Finish = "stop"
        if _length(text) > (limit := decoding.limit):
            ends = [match.end() for match in re.finditer(r"\S+", text)]
            text, finish = text[: ends[limit - 1]] if limit > 0 else "", "length"
        segments, trace = writer.until(len(text))
        return Generation(segments, margin, margin, size, _length(text), finish, trace)

    def _visits(self, texts: Sequence[TrainingText], settings: TrainSettings) -> int:
        """How many texts are trained on, counting repeats."""
        if settings.completion_token_budget is None:
            return max(1, round(len(texts) * settings.epochs))
        mean = sum(_length(text.own_text) for text in texts) / len(texts)
        return max(1, math.ceil(settings.completion_token_budget / max(mean, 1.0)))

    def _steps(self, texts: Sequence[TrainingText], settings: TrainSettings) -> int:
        return math.ceil(self._visits(texts, settings) / self.batch)

    def _memory(self, adapter: Path) -> Memory:
        file = adapter / ADAPTER
        key = (adapter, file.stat().st_mtime_ns if file.exists() else 0)
        if key not in self._loaded:
            table = _read_adapter(adapter)["table"]
            self._loaded[key] = Memory([(prompt, tuple(map(Segment.model_validate, made))) for prompt, made in table])
        return self._loaded[key]


def _length(text: str) -> int:
    return len(text.split())


def _rank(prompt: Prompt, decoding: Decoding) -> int:
    """Which of the nearest completions a sampled answer is made of."""
    return int(decoding.temperature > 0 and random.Random(content_hash([decoding.seed, prompt.text])).random() < 0.5)


def _token(word: str) -> int:
    return zlib.crc32(word.encode())


def _own_words(segments: Sequence[Segment]) -> list[tuple[int, str]]:
    """The words of a completion that are the student's own, each with its place among all words; "" as the end token."""
    text = text_of(segments)
    supplied = [segment.source == "supplied" for segment in segments for _ in segment.text]
    words = [(place, match) for place, match in enumerate(re.finditer(r"\S+", text))]
    own = [(place, match[0]) for place, match in words if not supplied[match.start()]]
    return [*own, (len(words), "")]


def _agrees(text: TrainingText) -> bool:
    """Whether a text is what its targets say, where it has some."""
    words = [_token(word) for _, word in _own_words(text.segments)]
    return not text.targets or words == [place[0][0] for place in text.targets]


def _differences(one: str, other: str) -> int:
    first, second = one.split(), other.split()
    return sum(a != b for a, b in zip(first, second, strict=False)) + abs(len(first) - len(second))


# --- files -----------------------------------------------------------------------------------------------------------


def _row(text: TrainingText) -> list[Any]:
    """A text as the adapter file holds it: the prompt and the segments of the completion."""
    return [text.prompt, [segment.model_dump() for segment in text.segments]]


def _read_adapter(folder: Path) -> dict[str, Any]:
    try:
        stored = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict) or not {"inputs", "table", "report"} <= set(stored):
        raise ModelError(f"{folder}: not an adapter of the table student ({ADAPTER} is missing or damaged)")
    return stored


def _finished(folder: Path, inputs: str) -> TrainReport | None:
    """The report of a training with the same inputs that has already ended in this folder."""
    if not (folder / ADAPTER).exists():
        return None
    stored = _read_adapter(folder)
    return TrainReport(**stored["report"]) if stored["inputs"] == inputs else None


def _resume_step(folder: Path, inputs: str) -> int:
    """The last step written by a training with the same inputs that was cut short; 0 where there is none."""
    try:
        state = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return 0
    match state:
        case {"inputs": str(made_of), "step": int(step)} if made_of == inputs:
            return step
    return 0
