"""The loop around an exported student: it is asked with its knowledge base, in which it looks facts up while it writes.

    python loop.py "How many feet are 4 fathoms and 3 feet?" --server http://localhost:8000/v1 --model NAME

It needs the standard library and `base.json`, the compiled knowledge base beside it. It is written to be ported: `answer` is
the loop, and `prompt`, `find` and `result` are all that it calls.

Left out, next to `nesycd serve` and `nesycd ask`: slips of spelling; relations in quite other words than the base's; names
that are stop words (the element He) in questions; facts that no name in the question leads to; derived facts; the router. Of
sums: LaTeX, per cents, currencies but $, dates with a year or without a month's name. And no server holds a student to the
names and relations that there are, as `nesycd` does: what it asks for wrongly is `(not found)`.
"""

from __future__ import annotations

import argparse
import json
import operator
import re
import sys
import unicodedata
import urllib.request
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

Complete = Callable[[str, list[str]], str]
"""Goes on with a text up to one of the stop strings, which it includes, or to the student's end."""
NOT_FOUND, NO_MORE, MOST_CALLS, MOST_ROUNDS = "(not found)", "(no more calls)", 24, 100
BASE: dict[str, Any] = {}


def load(path: Path) -> None:
    """Read a compiled base."""
    BASE.update(json.loads(path.read_text(encoding="utf-8")))


# --- the loop ---------------------------------------------------------------------------------------------------------


def answer(question: str, complete: Complete, options: Sequence[str] = ()) -> tuple[str, str, list[tuple[str, str]]]:
    """The answer, the text that it stands in, and each look-up and sum with its result."""
    begun = BASE["before"] + unmarked(prompt(question, options)) + BASE["after"]
    text, trace = "", list[tuple[str, str]]()
    for _ in range(MOST_ROUNDS):
        more = complete(begun + text, BASE["stop"])
        text += more
        if call := re.search(r"(?<!\\)\[((?:[^\[\]|\\\n]|\\.)+)\|((?:[^\[\]\\\n]|\\.)+)\]$", text):
            found = [given for asked, given in trace if asked.startswith("[")]
            name, relation = (re.sub(r"\\(.)", r"\1", part.strip()) for part in call.groups())
            in_question = "\n".join([question, *options])
            given = find(name, relation, in_question, found) if len(found) < MOST_CALLS else NO_MORE
            trace.append((call[0], given))
            text += f" {unmarked(given)}"
        elif text.endswith("=") and (given := result(text)):
            trace.append((re.split(r"\n|\. ", text)[-1].strip(), given.strip()))
            text += given
        elif not more.endswith(("]", "=")):
            break
    said = re.findall(r"answer is:? *(.+?)\.?\s*$", text, re.IGNORECASE | re.MULTILINE)
    return (said[-1] if said else ""), text.strip(), trace


def prompt(question: str, options: Sequence[str] = ()) -> str:
    """The user's turn: lessons and rules to read, the question, and the look-ups that its names allow."""
    calls = offers("\n".join([question, *options])) if BASE["looks_up"] else []
    items = reads(question, calls)
    name = "question" + "_with_knowledge" * bool(items) + ("_and" if items else "_with") * bool(calls)
    shown = "\n".join([question, *(f"({chr(65 + place)}) {one}" for place, one in enumerate(options))])
    given = {"question": shown, "knowledge": "\n".join(items), "calls": " ".join(map(written, calls))}
    return str(BASE["prompts"][name + "_calls" * bool(calls)]).format(**given)


def unmarked(text: str) -> str:
    """A text in which a server finds no control token, such as the end of a turn: each is broken by a blank."""
    for mark in BASE["marks"]:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text


def written(call: tuple[str, str]) -> str:
    """A look-up as text; brackets, bars and backslashes in its parts get a backslash."""
    name, relation = (re.sub(r"([\[\]|\\])", r"\\\1", part) for part in call)
    return f"[{name} | {relation}]"


# --- words and names --------------------------------------------------------------------------------------------------


def words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text without case, accents and possessive endings, with their first and last place."""
    found = []
    for match in re.finditer(r"[^\W_]+(?:['’][^\W_]+)*[#♯♭]*", text):
        bare = re.sub(r"['’][sS]?$", "", match[0])
        plain = unicodedata.normalize("NFKD", bare.casefold().replace("’", "'"))
        word = "".join(sign for sign in plain if not unicodedata.combining(sign))
        found.append((word, match.start(), match.start() + len(bare)))
    return found


def stems(text: str) -> list[str]:
    """The stems of the words that say something. A word that the base does not know is its own stem."""
    return [stem for word, _, _ in words(text) if (stem := BASE["stems"].get(word, word))]


def link(text: str) -> list[tuple[int, int, list[str]]]:
    """The names in a text, longer ones first: where each begins and ends, and the entities that it may mean."""
    at, taken, found = words(text), set[int](), list[tuple[int, int, list[str]]]()
    for size in range(min(BASE["longest_name"], len(at)), 0, -1):
        for first in range(len(at) - size + 1):
            start, end = at[first][1], at[first + size - 1][2]
            joined = " ".join(word for word, _, _ in at[first : first + size])
            closed_up = joined.replace(" ", "") if "-" in text[start:end] else joined  # half-crown: halfcrown
            keys = (joined, closed_up, "=" + text[start:end])  # "=Au": written just so
            entities: list[str] = next((BASE["names"][key] for key in keys if key in BASE["names"]), [])
            if entities and taken.isdisjoint(range(first, first + size)):
                taken.update(range(first, first + size))
                found.append((start, end, entities))
    return sorted(found)


# --- what the prompt has besides the question -----------------------------------------------------------------------------


def offers(question: str) -> list[tuple[str, str]]:
    """The look-ups that the names in a question allow: those along a way (`Ann's mother's father`), or those spoken of."""
    made: list[tuple[str, str]] = []
    one = f"(?:{'|'.join(map(re.escape, sorted(BASE['relations'], key=len, reverse=True)))})"
    step = rf"{one}(?:(?:,| and| or) (?:the )?{one})*"  # father and mother
    for start, end, entities in link(question):
        after = re.match(rf"(?:['’]s? {step}\b)*", question[end:], re.IGNORECASE)
        before = re.search(rf"(?:\b{step} of (?:the )?)*$", question[:start], re.IGNORECASE)
        sides = [re.findall(step, part[0], re.IGNORECASE) if part else [] for part in (after, before)]
        way = [re.findall(one, part, re.IGNORECASE) for part in (*sides[0], *reversed(sides[1]))]
        name = question[start:end]
        made += along(name, question, way) if len(way) > 1 else spoken_of(name, question, entities)
    return list(dict.fromkeys(made))[:10]


def spoken_of(name: str, question: str, entities: Sequence[str]) -> list[tuple[str, str]]:
    """The relations of a name whose words the question has, or else those that most entities have; three at most."""
    asked, fits = set(stems(question)) - set(stems(name)), dict[str, tuple[float, int]]()
    for entity in entities:
        for relation, fact in BASE["entities"][entity]["facts"].items():
            kind = BASE["relations"][relation]
            own = 2 * len(asked.intersection(kind["stems"])) / max(1, len(kind["stems"]))
            said = len(asked.intersection([*fact["words"], *kind["stems"], *kind["words"]])) / max(1, len(asked))
            fits[fact["relation"]] = max(fits.get(fact["relation"], (0.0, 0)), (own + said, kind["entities"]))
    by = 0 if any(fit for fit, _ in fits.values()) else 1
    best = max((fit[by] for fit in fits.values()), default=0)
    return [(name, one) for one in sorted(fits, key=fits.__getitem__, reverse=True) if fits[one][by] >= 0.6 * best][:3]


def along(name: str, question: str, way: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The look-ups along a way, as far as the base knows it and the question spells it out."""
    made: list[tuple[str, str]] = []
    for step in way:
        kinds = [kind for kind in sorted({one.lower() for one in step}) if find(name, kind, question) != NOT_FOUND]
        made += [(name, BASE["relations"][kind]["shown"]) for kind in kinds]
        spelled = re.search(rf"{re.escape(name)}['’]s {'|'.join(map(re.escape, kinds))}", question, re.IGNORECASE)
        if len(kinds) != 1 or not spelled or is_note(find(name, kinds[0], question)):
            break
        name = spelled[0]
    return made


def reads(question: str, calls: Sequence[tuple[str, str]]) -> list[str]:
    """The lessons and rules that share most words with a question; two at most, in what room the facts leave."""
    asked = set(stems(question))
    scored = [(sum(one["words"].get(stem, 0) for stem in asked), one) for one in BASE["read"]]
    fitting = sorted((one for one in scored if one[0] >= 0.2 * one[1]["whole"]), key=lambda one: -one[0])
    return [one["text"] for _, one in fitting[: min(2, 6 - len(calls))]]


# --- look-ups ---------------------------------------------------------------------------------------------------------


def find(name: str, relation: str, question: str, before: Sequence[str] = ()) -> str:
    """What the base says of a name; it must stand in the question or in what was found before, unless nothing was found."""
    texts, missed = [question, *before], any(is_note(one) for one in before)
    held = BASE["hold_names"] and question and not missed and not any(key_of(name) in key_of(text) for text in texts)
    told = {one: fact for one in ([] if held else named(name)) if (fact := stated(one, relation))}
    if not told:
        way = re.fullmatch(r"(.+)['’]s? ([^'’]+)", name)  # Ann's mother | father
        first = find(way[1], way[2], question, before) if way and not named(name) else NOT_FOUND
        return NOT_FOUND if is_note(first) else find(first, relation, question, [*before, first])
    entities, asked = BASE["entities"], set(stems(question))
    own = {one: set(stems(entities[one]["name"])) for one in told}
    # A Dutch fathom is meant only where the question says Dutch; then other words decide, then whose own name it is.
    meant = [one for one in told if not any(own[o] < own[one] and not (own[one] - own[o]) & asked for o in told)]
    fits = {one: len((asked - set(stems(name))).intersection(entities[one]["words"])) for one in meant}
    best = [one for one in meant if fits[one] == max(fits.values())]
    best = [one for one in best if one == name.lower()] or best
    if len(best) > 1 and len({told[one]["found"] for one in meant}) > 1:
        return f"(several: {'; '.join(entities[one]['name'] for one in told)})"
    return str(told[best[0]]["found"])


def is_note(found: str) -> bool:
    """Whether a result is no value."""
    return found in ("", NOT_FOUND, NO_MORE) or found.startswith("(several: ")


def key_of(text: str) -> str:
    """A text as names are sought in it: its words, inflections aside."""
    return f" {' '.join(BASE['stems'].get(word) or word for word, _, _ in words(text))} "


def named(name: str) -> list[str]:
    """The entities that a whole name may mean."""
    for start, end, entities in link(name):
        if not stems(f"{name[:start]} {name[end:]}"):
            return entities
    return list(BASE["names"].get("~" + " ".join(name.lower().split()), []))


def stated(entity: str, relation: str) -> dict[str, Any] | None:
    """The fact about an entity that a relation asks for: the relation itself, or the one that shares half its words."""
    facts = BASE["entities"][entity]["facts"]
    if (same := " ".join(relation.lower().split())) in facts:
        return dict(facts[same])
    asked, kinds = set(stems(relation)), {one: set(BASE["relations"][one]["stems"]) for one in facts}
    shares = {one: len(asked & kind) / max(1, len(asked | kind)) for one, kind in kinds.items()}
    best = [one for one in facts if shares[one] == max(shares.values()) >= 0.5]
    return dict(facts[best[0]]) if len(best) == 1 else None


# --- sums -------------------------------------------------------------------------------------------------------------

MONTHS = ("January February March April May June July August September October November December").split()  # noqa: SIM905
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
CHANGES = ("of and or to per times plus minus by x half than more less not mod twice").split()  # noqa: SIM905
"""Words that make the sum after them another one."""
SIGNS = ({"+": operator.add, "-": operator.sub}, {"*": operator.mul, "/": operator.truediv})
ORDERS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def result(text: str) -> str:
    """What a text goes on with that ends in a sum and `=`; "" where that is not sure."""
    if not BASE["sums"]:
        return ""
    line = re.split(r"[;\n=]|[.?!:](?=\s|$)", text[:-1])[-1]
    day = re.search(rf"(?<![\w.,/+*-])(\d\d?) ({'|'.join(MONTHS)}) ([+-]) (\d{{1,2}}) (day|week)s? ?$", line)
    most = re.search(r"\b(max|min) ?\(([^()]*)\) ?$", line)
    order = re.search(r"([-\d(][^<>a-z]*?) ?(<=|>=|<|>|\bmod\b) ?([-\d(][^<>a-z]*?) ?$", line)
    form = day or most or order
    before = line[: form.start()].split()[-2:] if form else []
    if any(not word.isalpha() or len(word) < 2 or word.lower() in CHANGES for word in before[-1:]):
        return ""  # `half of max(3, 7)`
    if any(word[-1:].isdigit() for word in before):
        return ""  # `6 feet 3`
    thousands = most and re.search(r"\d,\d{3}(?!\d)", most[2])
    unclear = rf"\d{{4}}-\d|<-|[£€¥]|{'|'.join(MONTHS)}"  # days that are no differences, arrows
    if thousands or (not day and re.search(unclear, line)):
        return ""
    found: Fraction | str | None
    try:
        if day:
            moved = timedelta(int(f"{day[3]}{day[4]}") * (7 if day[5] == "week" else 1))
            days = [date(year, MONTHS.index(day[2]) + 1, int(day[1])) + moved for year in (2023, 2024)]
            reached = {f"{one.day} {MONTHS[one.month - 1]}" for one in days}
            found = reached.pop() if len(reached) == 1 else None
        elif most:
            found = {"max": max, "min": min}[most[1]](value(one) for one in most[2].split(","))
        elif order and order[2] == "mod":
            # `2 + 7 mod 5` could be 4, or 2 + 2: a sum must stand in brackets.
            alone = all(re.fullmatch(rf"-?(?:{NUMBER})|\([^()]*\)", order[side]) for side in (1, 3))
            found = value(order[1]) % value(order[3]) if alone and value(order[3]) > 0 else None
        elif order:
            found = str(ORDERS[order[2]](value(order[1]), value(order[3]))).lower()
        else:
            found = last_sum(re.split(r",(?=\s)", line)[-1])
    except (ArithmeticError, ValueError, IndexError):
        return ""
    if isinstance(found, Fraction):
        found = "" if found * 10_000 % 1 else f"{float(found):,.4f}".rstrip("0").rstrip(".")
        found = found if re.search(r"\d,\d{3}", line) else found.replace(",", "")
    blank, money = " " * text.endswith(" ="), "$" * ("$" in line)
    return f"{blank}{money}{found}" if found else ""


def last_sum(text: str) -> Fraction | None:
    """What the sum comes to that a text ends in, units after its numbers left out; None where there is none."""
    times = r"(?<=[\d)]) ?[xX×·] ?(?=[\d($.])|(?<=\w) [xX×·] (?=[\d($.])"
    text = re.sub(times, " * ", text).replace("÷", "/").replace("−", "-").replace("$", "")
    tokens = re.findall(rf"{NUMBER}|[^\W\d_]+|\S", text)
    for start, token in enumerate(tokens):
        before = tokens[start - 1] if start else "so"
        if re.match(r"[\d(-]", token) and len(before) > 1 and before.isalpha() and before.lower() not in CHANGES:
            bare = [one for place, one in enumerate(tokens[start:], start) if not is_unit(one, tokens[place - 1])]
            if set("+-*/") & set(bare[1:]) and not re.search(r"/\S+/", "".join(bare)):
                try:
                    return value(" ".join(bare))
                except (ValueError, IndexError):
                    continue
    return None


def is_unit(word: str, before: str) -> bool:
    """Whether a word stands after a number or a bracket as its unit."""
    return len(word) > 1 and word.isalpha() and word.lower() not in CHANGES and bool(re.search(r"[\w)]$", before))


def value(text: str) -> Fraction:
    """What a sum of numbers, + - * / and brackets comes to."""
    tokens = re.findall(rf"{NUMBER}|\S", text)
    found = summed(tokens)
    if tokens:
        raise ValueError(text)
    return found


def summed(tokens: list[str], level: int = 0) -> Fraction:
    """The value that some tokens begin with, which are taken away."""
    if level < len(SIGNS):
        found = summed(tokens, level + 1)
        while tokens and tokens[0] in SIGNS[level]:
            found = SIGNS[level][tokens.pop(0)](found, summed(tokens, level + 1))
        return found
    if (token := tokens.pop(0)) == "-":
        return -summed(tokens, level)
    if token != "(":
        return Fraction(token.replace(",", ""))
    found = summed(tokens)
    if tokens.pop(0) != ")":
        raise ValueError("a bracket is not closed")
    return found


# --- an OpenAI-compatible server --------------------------------------------------------------------------------------


def server(url: str, model: str, key: str = "") -> Complete:
    """`complete` by a server's /v1/completions."""

    def complete(text: str, stop: list[str]) -> str:
        body = {"model": model, "prompt": text, "stop": stop, "max_tokens": BASE["max_new_tokens"], "temperature": 0}
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = urllib.request.Request(f"{url.rstrip('/')}/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as reply:
            choice = json.load(reply)["choices"][0]
        more, which = choice["text"], choice.get("stop_reason")
        if choice["finish_reason"] != "stop" or more.endswith(("]", "=")):
            return str(more)
        if "stop_reason" in choice:  # vLLM says which stop string it was
            return f"{more}{which if which in stop else ''}"
        # Others leave it out and do not say: an open bracket was to be closed, and no answer ends before an `=`.
        if more.rfind("[") > more.rfind("]"):
            return f"{more}]"
        ended = not more.strip() or re.search(r"(?:[.!?]|answer is[^.=]*)\s*$", more)
        return str(more if ended else f"{more}=")

    return complete


def main() -> None:
    """Ask a question."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("question")
    parser.add_argument("--option", action="append", default=[], help="a choice, as often as needed")
    parser.add_argument("--server", default="http://localhost:8000/v1", help="its address, up to /v1 (%(default)s)")
    parser.add_argument("--model", default="model", help="the student's name there, as /v1/models tells (%(default)s)")
    base = Path(__file__).with_name("base.json")
    parser.add_argument(
        "--base", type=Path, default=base, help="the compiled base; not given: base.json beside this file"
    )
    given = parser.parse_args()
    try:
        load(given.base)
    except OSError as error:
        sys.exit(f"error: --base {given.base}: {error.strerror}")
    try:
        said, text, trace = answer(given.question, server(given.server, given.model), given.option)
    except OSError as error:
        sys.exit(f"error: --server {given.server}: {error}")
    print(said, text, *(f"{asked} -> {found}" for asked, found in trace), sep="\n")


if __name__ == "__main__":
    main()
