"""The page's section with sample answers side by side: question, gold answer, each method's response, knowledge given."""

from __future__ import annotations

from collections.abc import Iterable

from nesycd.calls import SUM
from nesycd.core.answers import Attempt
from nesycd.core.markup import Child, Markup, tag
from nesycd.core.records import Example
from nesycd.methods.table import has_student
from nesycd.reports.folder import RunFiles
from nesycd.reports.scores import folded, method_name, note

SAMPLES = 36
"""Questions shown of all splits together, spread evenly over their tasks."""


def sample_answers(run: RunFiles) -> Markup | None:
    """A few questions of each task and split, those first on which the methods disagree, with all answers."""
    chosen = list(choose(run))
    if not chosen:
        return None
    tasks = sorted({example.task for _, example in chosen})
    controls = tag(
        "p",
        tag(
            "label",
            "task ",
            tag("select", tag("option", "all", value=""), [tag("option", t) for t in tasks], id="task"),
        ),
        " ",
        tag("label", tag("input", type="checkbox", id="disagree"), " only where trained methods disagree"),
        " ",
        tag("label", tag("input", type="checkbox", id="given", checked=True), " show the knowledge given"),
        class_="controls scripted",
        hidden=True,
    )
    told = note(
        "Not a random sample: questions on which the trained methods disagree come first, so that differences can be read. "
        "Accuracies are in the table."
    )
    asked = [_sample(run, split, example) for split, example in chosen]
    return folded(
        "samples", "Sample answers", "read them side by side: where do the methods differ?", told, controls, asked
    )


def named_items(run: RunFiles) -> set[str]:
    """Ids of the items that the sample answers were given, or found."""
    shown = [attempt for split, example in choose(run) for attempt in answers(run, split, example.uid).values()]
    return {item for one in shown for item in (*one.knowledge, *(found for call in one.calls for found in call.items))}


def choose(run: RunFiles) -> Iterable[tuple[str, Example]]:
    """Split and question, at most `SAMPLES`, taken in turn from every task of every split."""
    queues = []
    for split, examples in run.examples.items():
        by_task: dict[str, list[Example]] = {}
        for example in examples.values():
            if answers(run, split, example.uid):
                by_task.setdefault(example.task, []).append(example)
        for task in sorted(by_task):
            ranked = sorted(by_task[task], key=lambda one: not _disagree(answers(run, split, one.uid)))
            queues.append([(split, example) for example in ranked])
    depth = max(map(len, queues), default=0)
    in_turn = [queue[level] for level in range(depth) for queue in queues if level < len(queue)]
    order = list(run.examples)
    return sorted(in_turn[:SAMPLES], key=lambda pair: (order.index(pair[0]), pair[1].task))


def answers(run: RunFiles, split: str, uid: str) -> dict[str, Attempt]:
    """The attempts at a question, by method."""
    methods = dict.fromkeys(method for method, _ in run.attempts)
    return {
        method: run.attempts[method, split][uid] for method in methods if uid in run.attempts.get((method, split), {})
    }


def _disagree(attempts: dict[str, Attempt]) -> bool:
    # The untrained student is nearly always wrong, and rules answer few questions: counting them, all would disagree on
    # everything.
    return len({attempt.correct for method, attempt in attempts.items() if has_student(method)}) > 1


def _sample(run: RunFiles, split: str, example: Example) -> Markup:
    attempts = answers(run, split, example.uid)
    marks = [
        tag("i", class_=f"mark {'right' if attempt.correct else 'wrong'}", title=f"{method}: {_word(attempt)}")
        for method, attempt in attempts.items()
    ]
    summary = tag(
        "summary",
        tag("span", f"{split} · {example.task}", class_="tasks"),
        tag("span", example.question, class_="question"),
        tag("span", marks, class_="marks"),
    )
    options = tag("ol", [tag("li", option) for option in example.options], type="A") if example.options else None
    return tag(
        "details",
        summary,
        options,
        tag("p", "gold answer: ", tag("b", example.answer)),
        tag("div", [_answer(run, split, method, attempt) for method, attempt in attempts.items()], class_="answers"),
        class_="sample",
        data_task=example.task,
        data_disagree="yes" if _disagree(attempts) else "no",
    )


def _answer(run: RunFiles, split: str, method: str, attempt: Attempt) -> Markup:
    word = _word(attempt)
    told = f"margin {attempt.margin:.3f}, {attempt.prompt_tokens:,} + {attempt.completion_tokens:,} tokens"
    ended = {"length": ", cut at the token limit", "too_long": ", the prompt did not fit", "error": ", failed"}
    return tag(
        "div",
        tag(
            "h4",
            method_name(method),
            " ",
            tag("span", word, class_=f"verdict {'right' if attempt.correct else 'wrong'}"),
        ),
        tag("p", "answer: ", tag("b", attempt.answer or "none found")),
        tag("pre", attempt.response or "(nothing)"),
        _calls(run, attempt),
        _given(run, split, attempt),
        note(told + ended.get(attempt.finish, "")),
        class_="answer",
    )


def _calls(run: RunFiles, attempt: Attempt) -> Markup | None:
    """What the student looked up and asked rules while it wrote, and from which items it was answered."""
    found = [call for call in attempt.calls if call.name != SUM]
    if not found:
        return None
    lines = [
        tag("li", f"{call.asked} → {call.found or 'nothing'}", [_item_link(run, one) for one in call.items])
        for call in found
    ]
    return tag("div", "looked up:", tag("ul", lines), class_="given")


def _item_link(run: RunFiles, item_id: str) -> Child:
    """Leads to the item's row on the page; of an item that the base does not hold (any more) nothing."""
    if item_id not in run.entry_ids:
        return None
    return (" ", tag("a", item_id[:8], href=f"#item-{item_id}"))


def _given(run: RunFiles, split: str, attempt: Attempt) -> Markup | None:
    if not attempt.knowledge:
        return tag("p", "asked for knowledge, got none", class_="given note") if attempt.routed else None
    found = run.retrievals.get(split, {}).get(attempt.example)
    why = {hit.item.id: hit.why for hit in found.hits} if found else {}
    lines: list[Child] = []
    for item_id in attempt.knowledge:
        item = run.items.get(item_id)
        reason = why.get(item_id) if attempt.routed else None
        lines.append(
            tag(
                "li",
                item.text if item else f"item {item_id}",
                tag("small", f" {reason}") if reason else None,
                _item_link(run, item_id),
            )
        )
    return tag("div", "knowledge given:", tag("ul", lines), class_="given")


def _word(attempt: Attempt) -> str:
    return "right" if attempt.correct else "wrong"
