"""The recipe that `nesycd init` writes: commented, with what is known of a user's questions and server filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.toml_text import toml_string

_HEAD = """\
# Look at all that this recipe needs, and at what it costs: nesycd check {file}
# Try it with few questions: nesycd run {file} --limit 20 --name smoke
# Run it, or go on with it: nesycd run {file}
# Every key is explained by `nesycd settings`. Paths are relative to the folder in which you run these commands.

name = {name}
seed = 0                        # of all that is random; run several seeds to see how much results depend on it

[task]
name = "jsonl"                  # your own questions
# limit = 50                    # at most so many questions of each split

[task.settings]                 # all of them: nesycd settings jsonl
path = {questions}
ratios = [0.7, 0.1, 0.2]        # train, valid, test; or, in place of path, a file each: train, valid, test
"""
_OWN = """
[teacher]
name = "scripted"               # your questions' own rationales; questions without one are not trained on
diagnose = "mine"               # knowledge is mined from these rationales; "api": a language model is asked (teacher.api)
"""
_ASKED = """
[teacher]
{who}
[teacher.api]
model = {model}{comment}
{base_url}
# key_env = "MY_KEY"            # the environment variable that holds the server's key; the key itself stands in no file
concurrency = 8                 # calls at once
# max_usd = 5.0                 # hard cap on what all calls may cost, for a model whose price is known
max_calls = 5000                # hard cap on their number

[teacher.ask]
samples = 3                     # at most, while no answer to a question was correct
max_tokens = 1024               # of an answer; reasoning models need more
"""
_ALL_ASKED = """\
name = "api"                    # a language model writes rationales and diagnoses the student's errors
"""
_DIAGNOSES_ASKED = """\
name = "scripted"               # your questions' own rationales; "api": the language model writes them
diagnose = "api"                # the language model diagnoses the student's errors
"""
_TAIL = """
[student]
model = "smollm2-135m"          # or a Hugging Face id, or a folder; "table" is a fake that shows in seconds how all goes
max_new_tokens = 256            # of an answer; longer rationales are cut off

[training]
epochs = 3.0                    # passes over the rationales; fewer for many questions
learning_rate = 1e-3            # lower it for larger students: 2e-4 is usual at 7B

[knowledge]
review = "human"                # nothing is retrieved before you approve it (nesycd kb approve); "auto" approves all
{files}

[evaluation]
methods = ["zero_shot", "std_cot", "std_cot_kb", "nesycd_no_kb", "nesycd", "nesycd_routed"]
"""
_FILES = '# files = ["facts.csv"]         # knowledge you have already, as `nesycd kb import` reads it'
_DOCUMENTS = '# documents = ["handbook.md"]   # texts and tables (.md, .txt, .csv, .xlsx); items cite their lines'


@dataclass(frozen=True)
class Asked:
    """The language model that is the teacher.

    Attributes:
        model: its name; "": the user is to fill it in.
        base_url: of its server; "": the provider's own.
        models: those that the server lists, to choose from.
        rationales: whether it also writes the rationales.
    """

    model: str = ""
    base_url: str = ""
    models: tuple[str, ...] = ()
    rationales: bool = True


def starter(
    name: str,
    file: Path,
    questions: Path,
    asked: Asked | None,
    knowledge: Sequence[Path] = (),
    documents: Sequence[Path] = (),
) -> str:
    """The text of a recipe.

    Args:
        name: the recipe's.
        file: where it will be written.
        questions: their file.
        asked: the teacher; None: the questions' own rationales.
        knowledge: files whose items join the knowledge base.
        documents: texts and tables whose statements do.
    """
    text = _HEAD.format(file=file, name=toml_string(name), questions=toml_string(str(questions)))
    if asked is None:
        text += _OWN
    else:
        text += _ASKED.format(
            who=_ALL_ASKED if asked.rationales else _DIAGNOSES_ASKED,
            model=toml_string(asked.model),
            comment=_choice(asked),
            base_url=f"base_url = {toml_string(asked.base_url)}"
            if asked.base_url
            else '# base_url = "http://localhost:8000/v1"',
        )
    files = _listed("files", knowledge) or _FILES
    return text + _TAIL.format(files=f"{files}\n{_listed('documents', documents) or _DOCUMENTS}")


def _listed(key: str, paths: Sequence[Path]) -> str:
    return f"{key} = [{', '.join(toml_string(str(path)) for path in paths)}]" if paths else ""


def _choice(asked: Asked) -> str:
    if asked.model:
        return ""
    shown = ", ".join(asked.models[:8]) or "such as gpt-4o-mini"
    return f"{' ' * 22}# to be filled in: the model's name at its server ({shown})"
