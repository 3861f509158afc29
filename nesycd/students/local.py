"""A student on this machine: a Hugging Face causal LM, fine-tuned by LoRA (peft) and prompted in batches."""

from __future__ import annotations

import math
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from peft import get_peft_model

from nesycd.core.errors import ModelError
from nesycd.core.protocols import LEAST, Decoding, Generation, Pace, Prompt, Session, TrainReport, TrainSettings
from nesycd.core.records import Targets, TrainingText, content_hash
from nesycd.core.segments import Segment, text_of
from nesycd.students import embedded
from nesycd.students.adapters import lora_config, merged, peft_warnings, save_adapter, with_adapter, with_shared_weights
from nesycd.students.compiling import WORTH, can_compile, compile_layers
from nesycd.students.continuous import ContinuousBatch, can_join
from nesycd.students.devices import pick_device, pick_dtype
from nesycd.students.divergence import tensors_of
from nesycd.students.fingerprint import decoding, student_fingerprint
from nesycd.students.generation import Row, Sampling, greedy_with_workers
from nesycd.students.hub import cannot_load, is_hub_id, resolve_commit
from nesycd.students.launching import check_processes, is_launched
from nesycd.students.launching import train as train_in_processes
from nesycd.students.memory import give_back, is_out_of_memory, keep_freed_memory, return_freed_memory
from nesycd.students.origin import origin_of
from nesycd.students.pace import answering_pace, training_pace
from nesycd.students.processes import ALONE, Processes, shard_layers
from nesycd.students.quantised import is_quantised, quantisation
from nesycd.students.rendering import Renderer, Template
from nesycd.students.repetition import is_repetitive
from nesycd.students.scoring import batches, likeliest
from nesycd.students.sessions import WholeSession
from nesycd.students.sizing import Sizing
from nesycd.students.supplying import Supplying
from nesycd.students.training import CHECKPOINT, Encoded, fine_tune, planned_tokens, token_losses

LENGTH = 128
"""Tokens of a prompt up to which a generation batch has all its rows."""
_LOADING = threading.Lock()
KEPT = 4 << 30
"""Bytes of weights up to which a base model stays loaded beside the copies that adapters are merged into."""


class LocalStudent:
    """Implements `nesycd.core.protocols.Student` with torch.

    Args:
        model: `smollm2-135m` (embedded), a Hugging Face id, or a folder, of a model or of a LoRA adapter (`Origin`).
        revision: of a Hugging Face id: a branch, tag or commit; "" is `main`. The commit that it stands for is kept as
            `commit`, and in the configuration of each adapter as the base model's revision.
        template: how prompts are rendered (see `Renderer`).
        system: text of the system turn for chat models.
        device: `auto`, `cpu`, `cuda`, ...
        batch_rows: rows of a generation batch at most; of prompts longer than `LENGTH` fewer.
        stop_repetition: whether answers that repeat themselves are ended (`is_repetitive`).
        compile: whether training goes through compiled layers (`compile_layers`); `auto`: on a CPU with a C++ compiler,
            for trainings of at least `WORTH` tokens.
        checkpointing: whether a training runs layers again in its backward pass; `auto`: where memory would not suffice.
        quantise: `4bit` keeps the linear layers so, for training and answers (`quantised.py`).
        shard: whether several processes share the layers' weights in training.
        processes: that train together: how many are started for each training, or those that this one belongs to.

    Raises:
        ConfigError: there are fewer GPUs than processes.
        ModelError: the folder or id is not a causal LM that can be loaded, its tokenizer cannot be used (`Renderer`), or this
            machine cannot quantise it.
    """

    def __init__(
        self,
        model: str = embedded.NAME,
        *,
        revision: str = "",
        template: Template = "auto",
        system: str | None = "",
        device: str = "auto",
        batch_rows: int = 128,
        stop_repetition: bool = False,
        compile: Literal["auto", "on", "off"] = "auto",
        checkpointing: Literal["auto", "on", "off"] = "auto",
        quantise: Literal["none", "4bit"] = "none",
        shard: bool = False,
        processes: int | Processes = 1,
    ) -> None:
        self.name = model
        self._group, self._processes = (ALONE, processes) if isinstance(processes, int) else (processes, 1)
        self._launches = isinstance(processes, int) and is_launched(processes)
        self._checkpointing, self._shard = checkpointing, shard
        self._told: dict[str, Any] = {"model": model, "template": template, "system": system, "device": device}
        self._told |= {"compile": compile, "checkpointing": checkpointing, "quantise": quantise, "shard": shard}
        self.batch_rows, self.batch_tokens = batch_rows, batch_rows * LENGTH
        self._origin = origin_of(model, revision)
        base = self._origin.base
        self._source = str(embedded.fetch()) if base == embedded.NAME else base
        self.commit = resolve_commit(base, self._origin.revision) if is_hub_id(base) else ""
        self._pin = {"revision": self.commit} if self.commit else {}
        self._told["revision"] = self.commit
        self._device = pick_device(self._group.device(device))
        if isinstance(processes, int):
            check_processes(processes, self._device, shard, quantise != "none")
        if self._device.type == "cpu":
            keep_freed_memory()
        self._dtype = pick_dtype(self._device)
        self._quantisation = quantisation(self._device, self._dtype) if quantise == "4bit" else None
        if self._quantisation is not None and self._origin.adapters:
            raise ModelError(
                f"student.quantise: {model!r} is an adapter, which cannot be merged into 4 bits; merge it first (nesycd export), "
                "and give the folder of the whole model"
            )
        if (own := self._origin.tokenizer) is not None:
            tokenizer = _load(transformers.AutoTokenizer, model, str(own))
        else:
            tokenizer = _load(transformers.AutoTokenizer, model, self._source, **self._pin)
        self.renderer = Renderer(tokenizer, template, system)
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self._base: Any = None
        self._merged: tuple[Path | None, Any] | None = None
        self.fingerprint = student_fingerprint(model, template, system, self.commit, quantise)
        self._supplying = Supplying(tokenizer)
        self._compile = compile
        self._repetitive = is_repetitive if stop_repetition else None
        self.decoding = decoding(stop_repetition)

    # --- model and adapters -------------------------------------------------------------------------------------------

    def _fresh(self) -> Any:
        """The model as it is before any training; of one of at most `KEPT` bytes the weights are loaded once."""
        if self._base is not None:
            return with_shared_weights(self._base)
        with torch.inference_mode(False):  # what is loaded in it could never be trained
            model = self._loaded()
        if sum(tensor.nbytes for tensor in model.state_dict().values()) > KEPT:
            return model
        self._base = model
        return with_shared_weights(model)

    def _loaded(self) -> Any:
        # A sharded model is moved layer by layer (`shard_layers`), a quantised one made on its device.
        how: dict[str, Any] = {}
        if self._quantisation is not None:
            how = {"quantization_config": self._quantisation, "device_map": {"": self._device}}
        model, told = _load(
            transformers.AutoModelForCausalLM,
            self.name,
            self._source,
            dtype=self._dtype,
            attn_implementation=self._attention,
            use_safetensors=True,
            output_loading_info=True,
            **how,
            **self._pin,
        )
        if getattr(model, "_hf_peft_config_loaded", False):
            raise ModelError(
                f"{self.name!r} is an adapter on the Hugging Face hub, whose weights would be lost in training; download it "
                "(hf download NAME --local-dir FOLDER) and give that folder as the student"
            )
        if missing := sorted(told["missing_keys"]):
            raise ModelError(
                f"the weights of {self.name!r} lack {len(missing)} of the model's tensors ({missing[0]}, ...), which would be "
                "random; save the whole model anew (an adapter with its adapter_config.json)"
            )
        if not self._is_sharded and self._quantisation is None:
            model = model.to(self._device)
        if self._origin.base == embedded.NAME:
            # Adapters name it so, not by a folder that only this machine has.
            model.name_or_path = embedded.NAME
        for folder in self._origin.adapters:
            model = merged(model, folder)
        if self._origin.adapters:
            # Adapters that are trained on it name it as their base.
            model.name_or_path = str(Path(self.name).resolve())
        self._check_embeddings(model)
        return model

    @property
    def _attention(self) -> str:
        """In training. CPUs run short sequences faster through plain matrix products than through the fused kernel's backward."""
        return "eager" if self._device.type == "cpu" else "sdpa"

    def _check_embeddings(self, model: Any) -> None:
        """A token without an embedding would end the training in an error of torch that says nothing."""
        rows = model.get_input_embeddings().num_embeddings
        used = [*self.renderer.prompt_ids(""), *self.renderer.completion_ids("")]
        if self._pad_id >= rows:
            # Many add a token for padding to the tokenizer only; what fills rows is not seen.
            self._pad_id = self.renderer.tokenizer.eos_token_id
        if (highest := max(used)) >= rows:
            token = self.renderer.tokenizer.convert_ids_to_tokens(highest)
            raise ModelError(
                f"the tokenizer of {self.name!r} has {token!r} as token {highest}, but the model has {rows} tokens only; give "
                "the tokenizer that belongs to the model"
            )

    def load(self) -> None:
        """See `Student.load`."""
        self._fresh()

    def _with_adapter(self, adapter: Path | None) -> Any:
        """The model to generate with. An adapter is merged into copies of the weights: a third faster, no drift of the base."""
        if self._merged is None or self._merged[0] != adapter:
            self._merged = None
            model = self._fresh()
            if adapter is not None and is_quantised(model):
                model = with_adapter(model, adapter, trainable=False).get_base_model()
            elif adapter is not None:
                model = merged(model, adapter)
            self._merged = (adapter, self._answering(model))
        return self._merged[1]

    @staticmethod
    def _answering(model: Any) -> Any:
        model.set_attn_implementation("sdpa")
        if not is_quantised(model):
            # torch folds a [rows, 1, d] x [d, vocabulary] product into one matrix product only where the weight
            # requires gradients; merged weights do not, and the batched form copies the vocabulary matrix row by row.
            model.requires_grad_(True)
        return model.eval()

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
        """See `Student.train`. Writes a peft adapter (safetensors) into `folder`, whole or not at all.

        Of several processes each is called so, and the first one writes.
        """
        if self._launches:
            self._release()
            others: dict[str, Any] = {"processes": self._processes, "seed": seed, "init": init, "progress": progress}
            return train_in_processes(self._told, texts, settings, folder, **others)
        encoded = [self._encode(text) for text in texts]
        kept = [text for text in encoded if len(text) <= settings.max_tokens]
        if len({text.targets is None for text in kept}) > 1:
            raise ModelError(
                "some of the training texts have targets and some have none; train on one kind after the other"
            )
        if not kept:
            raise ModelError(f"none of {len(texts)} training texts fits into max_tokens = {settings.max_tokens}")
        self._merged = None
        memory = self.sizing.plan(kept, settings, self._base is not None)
        torch.manual_seed(seed)
        if init is None:
            fresh = self._fresh()
            with peft_warnings():
                model = get_peft_model(fresh, lora_config(fresh, settings), **self._pin)
        else:
            model = with_adapter(self._fresh(), init, trainable=True)
        model = self._trainable(model)
        if self._is_sharded:
            shard_layers(model.get_base_model(), self._device)
        note = ""
        if self._is_worth_compiling(kept, settings):
            compile_layers(model.get_base_model())
            note = "compiling its layers"
        report = fine_tune(
            model.get_base_model(),
            kept,
            settings,
            folder,
            seed=seed,
            pad_id=self._pad_id,
            progress=progress,
            note=note,
            processes=self._group,
            checkpointing=memory.checkpointing,
            memory=(memory.told, memory.warning),
        )
        if self._group.rank == 0:
            save_adapter(model, folder)
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        if self._device.type == "cpu":
            give_back()  # what comes next works on other sizes
        return replace(report, dropped=len(encoded) - len(kept))

    def pace(self, settings: TrainSettings, question: int, written: int) -> Pace:
        """See `PacedStudent.pace`."""
        fresh = self._fresh()
        with peft_warnings():
            model = self._trainable(get_peft_model(fresh, lora_config(fresh, settings)))
        trained = training_pace(model.get_base_model(), settings, question, written, self._pad_id)
        plain = self._answering(model.unload())
        return Pace(trained, answering_pace(plain, self.batch_rows, question, written, self._pad_id))

    def _release(self) -> None:
        """Leave the device to others."""
        self._base = self._merged = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def sizing(self) -> Sizing:
        """Estimates the memory of trainings."""
        return Sizing(
            lambda: _load(transformers.AutoConfig, self.name, self._source, **self._pin),
            self._device,
            self._dtype,
            self._attention,
            self._quantisation is not None,
            Processes(size=self._processes) if self._launches else self._group,
            self._shard,
            self._checkpointing,
        )

    @property
    def _is_sharded(self) -> bool:
        return self._shard and self._group.size > 1

    def _trainable(self, model: Any) -> Any:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(self._dtype)
        return model

    def _is_worth_compiling(self, texts: Sequence[Encoded], settings: TrainSettings) -> bool:
        if self._compile != "auto":
            return self._compile == "on"
        return self._device.type == "cpu" and planned_tokens(texts, settings) >= WORTH and can_compile()

    def _encode(self, text: TrainingText) -> Encoded:
        made = self._encoded(text.prompt, text.segments, text.weight)
        if not text.targets:
            return made
        if len(text.targets) != made.learned:
            raise ModelError(
                f"{self.name!r} reads {made.learned} tokens of its own in the completion of {text.example}, whose targets are "
                f"for {len(text.targets)}: they were made with another tokenizer"
            )
        return replace(made, targets=tensors_of(text.targets))

    def _encoded(self, prompt: str, segments: Sequence[Segment], weight: float = 1.0) -> Encoded:
        completion = self.renderer.completion_ids(text_of(segments))
        return Encoded(self.renderer.prompt_ids(prompt), completion, weight, self.renderer.supplied_places(segments))

    # --- asking -------------------------------------------------------------------------------------------------------

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """See `Student.plan`: sorted by length, at most `batch_rows` rows and `batch_tokens` padded tokens."""
        lengths = [len(self.renderer.prompt_ids(prompt.text)) for prompt in prompts]
        batches: list[list[int]] = []
        for index in sorted(range(len(prompts)), key=lambda i: (-lengths[i], i)):
            room = bool(batches) and len(batches[-1]) < self.batch_rows
            if not room or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > self.batch_tokens:
                batches.append([])
            batches[-1].append(index)
        return batches

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None,
        decoding: Decoding,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """See `Student.generate`. A prompt too long for the model's context yields `too_long`, never a cut prompt."""
        if not prompts:
            return []
        model = self._with_adapter(adapter)
        ids = [self.renderer.prompt_ids(prompt.text) for prompt in prompts]
        context = self.context_of(model)
        fits = [index for index, row in enumerate(ids) if len(row) + decoding.limit <= context]
        results = [Generation.too_long(len(row)) for row in ids]
        stops = self._stops(decoding)
        for index, row in self._rows(model, prompts, ids, fits, decoding, stops, progress):
            results[index] = self._generation(row, len(ids[index]))
        return results

    def session(self, adapter: Path | None) -> Session:
        """See `SessionStudent`."""
        model = self._with_adapter(adapter)
        if not can_join(model.config):
            return WholeSession(self, adapter)
        if self._device.type == "cpu":
            return_freed_memory()
        return _LocalSession(self, model)

    def _generation(self, row: Row, prompt_tokens: int) -> Generation:
        trace = () if row.supply is None else tuple(row.supply.trace)
        size = len(row.margins) + sum(row.supplied)
        signals = Generation.signals(row.margins)
        return Generation(self._segments(row.ids, row.supplied), *signals, prompt_tokens, size, row.finish, trace)

    def _stops(self, decoding: Decoding) -> _StopStrings | None:
        return _StopStrings(self.renderer, decoding.stop) if decoding.stop else None

    def _ends(self, model: Any) -> frozenset[int]:
        """The tokens that end an answer."""
        listed = getattr(model.generation_config, "eos_token_id", None)
        ends = listed if isinstance(listed, list) else [] if listed is None else [listed]
        return frozenset({self.renderer.tokenizer.eos_token_id, *ends})

    def _segments(self, ids: list[int], supplied: list[bool]) -> tuple[Segment, ...]:
        """The text of generated ids, split where what was supplied begins and ends."""
        whole = self.renderer.decode(ids)
        edges = [place for place in range(1, len(ids)) if supplied[place] != supplied[place - 1]]
        made, done = [], 0
        for place in [*edges, len(ids)]:
            # A decoded prefix may end in an incomplete character, which then belongs to the next segment.
            text = whole if place == len(ids) else self.renderer.decode(ids[:place])
            end = len(text) if whole.startswith(text) else done
            if end > done:
                made.append(Segment(text=whole[done:end], source="supplied" if supplied[place - 1] else "student"))
                done = end
        return tuple(made)

    def _rows(
        self,
        model: Any,
        prompts: Sequence[Prompt],
        ids: list[list[int]],
        places: list[int],
        decoding: Decoding,
        stops: Any,
        progress: Callable[[int, int], None] | None,
    ) -> list[tuple[int, Any]]:
        """The generated rows of the prompts at some places; in halves where memory runs out."""
        if not places:
            return []
        try:
            rows = greedy_with_workers(
                model,
                [ids[place] for place in places],
                eos_ids=self._ends(model),
                pad_id=self._pad_id,
                max_new_tokens=decoding.limit,
                stops=stops,
                supplies=[self._supplying.row(prompts[place]) for place in places],
                samplings=[_sampling(decoding, prompts[place]) for place in places],
                repetitive=self._repetitive,
                progress=progress,
            )
            return list(zip(places, rows, strict=True))
        except RuntimeError as error:
            if len(places) == 1 or not is_out_of_memory(error):
                raise
        half = len(places) // 2
        parts = (places[:half], places[half:])
        return [row for part in parts for row in self._rows(model, prompts, ids, part, decoding, stops, progress)]

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """See `Student.least_likely`. Texts of like length share a batch."""
        model = self._with_adapter(adapter)
        context = self.context_of(model)
        encoded = [
            Encoded(self.renderer.prompt_ids(prompt.text), self.renderer.completion_ids(completion), 1.0)
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        found = [-math.inf] * len(encoded)
        for batch in batches(encoded, context):
            self._score(model, encoded, batch, found)
        return found

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]:
        """See `ScoringStudent.likeliest`. Texts of like length share a batch."""
        model = self._with_adapter(adapter)
        texts = [self._encoded(prompt, made) for prompt, made in zip(prompts, completions, strict=True)]
        return likeliest(model, texts, count, self._pad_id, self.context_of(model))

    @torch.inference_mode()
    def _score(self, model: Any, encoded: list[Encoded], batch: list[int], found: list[float]) -> None:
        losses, rows = token_losses(model, [encoded[index] for index in batch], self._pad_id)
        for row, index in enumerate(batch):
            mine = losses[rows == row]
            found[index] = -mine.topk(min(LEAST, len(mine))).values.mean().item()

    @property
    def context(self) -> int:
        """`context_of` the model, read from its configuration alone."""
        config = _load(transformers.AutoConfig, self.name, self._source, **self._pin)
        return getattr(config, "max_position_embeddings", None) or 1 << 30

    @staticmethod
    def context_of(model: Any) -> int:
        """Most tokens of a prompt with its answer."""
        return getattr(model.config, "max_position_embeddings", None) or 1 << 30

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Student.count_tokens`."""
        return self.renderer.plain_text.counts(texts) if texts else []


class _LocalSession:
    """Implements `Session`: a `ContinuousBatch` with prompts and texts in place of ids."""

    def __init__(self, student: LocalStudent, model: Any) -> None:
        self._student, self._context = student, student.context_of(model)
        self._batch = ContinuousBatch(
            model, eos_ids=student._ends(model), pad_id=student._pad_id, repetitive=student._repetitive
        )
        self._rows: dict[str, tuple[Row, int]] = {}
        self._texts: dict[str, str] = {}
        self._done: dict[str, str | Generation] = {}

    def begin(self, prompts: Sequence[Prompt], decodings: Sequence[Decoding]) -> None:
        """See `Session`. A prompt that is too long for the model's context is not cut, but answered `too_long`."""
        fitting = []
        for prompt, told in zip(prompts, decodings, strict=True):
            ids = self._student.renderer.prompt_ids(prompt.text)
            if len(ids) + told.limit > self._context:
                self._done[prompt.key] = Generation.too_long(len(ids))
            else:
                supply, stops = self._student._supplying.row(prompt), self._student._stops(told)
                row = Row(supply, stops, told.limit, _sampling(told, prompt))
                fitting.append((prompt.key, ids, row))
        if fitting:
            self._batch.add([ids for _, ids, _ in fitting], [row for *_, row in fitting])
        for key, ids, row in fitting:
            self._rows[key], self._texts[key] = (row, len(ids)), ""

    def step(self) -> dict[str, str | Generation]:
        """See `Session`."""
        self._batch.step()
        made, self._done = self._done, {}
        for key, (row, prompt_tokens) in [*self._rows.items()]:
            if row.done:
                made[key] = self._student._generation(row, prompt_tokens)
                self.drop(key)
                continue
            text = self._student.renderer.decode(row.ids)
            # A character may consist of several tokens, and blanks at the end may be none.
            if text.startswith(self._texts[key]) and not text.endswith("\ufffd"):
                self._texts[key] = text
            made[key] = self._texts[key]
        return made

    def drop(self, key: str) -> None:
        """See `Session`."""
        self._done.pop(key, None)
        self._texts.pop(key, None)
        if (found := self._rows.pop(key, None)) is not None:
            found[0].done = True


def _sampling(decoding: Decoding, prompt: Prompt) -> Sampling | None:
    """The numbers that an answer is sampled with, which depend on the seed and on what is asked; None: it is not sampled."""
    if not decoding.temperature:
        return None
    drawn = random.Random(content_hash([decoding.seed, prompt.text, prompt.question]))
    return Sampling(decoding.temperature, drawn.random)


class _StopStrings:
    """Whether the end of an answer shows one of the stop strings."""

    def __init__(self, renderer: Renderer, stops: Sequence[str]) -> None:
        self.renderer, self.stops = renderer, tuple(stops)
        # A token may carry one character only, so this many last tokens hold any stop string.
        self.window = max(map(len, self.stops)) + 1

    def __call__(self, ids: list[int]) -> bool:
        tail = self.renderer.tokenizer.decode(ids[-self.window :], skip_special_tokens=True)
        return any(stop in tail for stop in self.stops)


@contextmanager
def without_bars() -> Iterator[None]:
    """Let transformers show no progress bars: they would come between our own."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _load(factory: Any, name: str, source: str, **options: Any) -> Any:
    try:
        # It sets torch's default type meanwhile, for all threads.
        with _LOADING, without_bars():
            return factory.from_pretrained(source, trust_remote_code=False, **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # damaged files make the libraries raise anything
        raise cannot_load(name, error) from error
