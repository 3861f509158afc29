"""Markdown and plain text as passages and tables: by lines, so that each has its place. HTML in it is text.

What is no statement is passed over: code, comments, front matter, rules, pictures. A plain text has no marks; its headings are
short lines that stand alone.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from nesycd.documents.passages import Passage, Table

Line = tuple[int, str]

_LONGEST_LINE = 20_000
_LONGEST_HEADING = 80
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_RULED = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*")
_ENTRY = re.compile(r"[ \t]*(?:[-*+•]|(?P<number>\(?\d{1,3}[.)]))[ \t]+(?P<text>\S.*)")
_DELIMITER = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_DEFINITION = re.compile(r" {0,3}:[ \t]+(\S.*)")
_REFERENCE = re.compile(r" {0,3}\[[^\]]+\]:[ \t]*\S+.*")
_BOLD_LINE = re.compile(r"(\*\*|__)[^*_]+\1:?")
_BAR = re.compile(r"(?<!\\)\|")
_TERM = re.compile(r"(?P<term>[^\s:][^:]{0,60}?) ?: +(?P<text>\S.*)")
_TERM_OR_DASH = re.compile(r"(?P<term>[^\s:][^:–—]{0,60}?)(?: ?: +| [–—] )(?P<text>\S.*)")
_NO_TERM = re.compile(
    r"(?:note|nb|n\.b\.|example|examples|for example|warning|caution|important|tip|hint|attention|see|see also|source|todo)",
    re.IGNORECASE,
)
_TERM_WORDS, _WORDS_IN_PROSE = 6, 3
"""Of a term that has a line of its own, and of one in a paragraph, where a colon may follow any sentence."""
_NO_NAME = re.compile(
    r"^(?:to|in|on|at|by|for|from|with|without|if|when|while|as|after|before)\b"
    r"|\b(?:is|are|was|were|has|have|had|can|may|must|will|shall|should|does|do)\b",
    re.IGNORECASE,
)
_ENDED = (".", "!", "?", ";", ":", ",")
_END = re.compile(r"[.!?][\"”)]?\s+")
_LETTERS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_SHORT = frozenset(
    "mr mrs ms dr st no nr vs e.g i.e approx ltd inc co art sec fig p pp cf etc max min incl excl par para".split()  # noqa: SIM905 - a list of words is read more easily as a text
)


@dataclass
class Marked:
    """What a text holds: passages and tables in their order, and what was passed over, by its kind."""

    passages: list[Passage] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    title: str = ""
    """The heading that stands above all others."""


def read_markup(text: str, is_markdown: bool) -> Marked:
    """The passages and tables of a Markdown document, or of a plain text, unless that has Markdown's headings."""
    is_markdown = is_markdown or any(map(_HEADING.fullmatch, text.split("\n")))
    reader = _Reader(is_markdown)
    if is_markdown:
        text = _without_comments(text)
    lines = list(enumerate(text.split("\n"), 1))
    for number, line in lines[_front_matter(lines) if is_markdown else 0 :]:
        reader.line(number, line)
    return reader.finished()


class _Reader:
    """Reads line after line; what belongs together is gathered until it ends."""

    def __init__(self, is_markdown: bool) -> None:
        self._is_markdown = is_markdown
        self._made = Marked()
        self._headings: list[tuple[int, str]] = []
        self._levels: Counter[int] = Counter()
        self._fence = ""
        self._paragraph: list[Line] = []
        self._entries: list[list[Line]] = []
        self._is_ordered = False
        self._lead: Passage | None = None
        self._table: tuple[int, tuple[str, ...]] | None = None
        self._rows: list[tuple[int, tuple[str, ...]]] = []
        self._begun = False
        self._after_blank = False

    def finished(self) -> Marked:
        """All that was read."""
        self._end()
        if self._levels[1] > 1:  # parts, of which none is the title
            self._made.title = ""
        return self._made

    def line(self, number: int, line: str) -> None:
        """Read the next line."""
        line = line.rstrip("\r")
        if len(line) > _LONGEST_LINE:
            self._end()
            self._made.left["too long"] += 1
        elif not (self._is_markdown and self._code(line)):
            self._text(number, line)
        self._after_blank = not line.strip()

    def _code(self, line: str) -> bool:
        """Whether a line is one of a block of code."""
        mark = _FENCE.match(line)
        if self._fence:
            if mark and mark[1].startswith(self._fence) and not line[mark.end() :].strip():
                self._fence = ""
            return True
        if not mark:
            return False
        self._end()
        self._fence = mark[1]
        self._made.left["code"] += 1
        return True

    def _text(self, number: int, line: str) -> None:
        if not line.strip():
            self._blank()
        elif self._is_markdown and self._marked(number, line):
            pass
        elif entry := _ENTRY.fullmatch(line):
            self._entry(number, entry)
        elif self._entries and (line[0] in " \t" or not self._after_blank):
            self._entries[-1].append((number, line.strip()))
        else:
            self._sentence_line(number, line)

    def _marked(self, number: int, line: str) -> bool:
        """Read a line that is marked as something else than text, if it is."""
        if self._table is not None:
            if "|" in line:
                self._rows.append((number, _cells(line)))
                return True
            self._end()
        if heading := _HEADING.fullmatch(line):
            self._end()
            self._heading(len(heading[1]), _plain(heading[2]))
        elif (under := _UNDERLINE.fullmatch(line)) and len(self._paragraph) == 1 and not self._is_head(line):
            text, self._paragraph = self._paragraph[0][1], []
            self._end()
            self._heading(1 if under[1][0] == "=" else 2, _plain(text))
        elif self._is_head(line):
            head = self._paragraph.pop()
            self._end()
            self._table = (head[0], _cells(head[1]))
        elif (said := _DEFINITION.fullmatch(line)) and len(self._paragraph) == 1:
            [(_, term)], self._paragraph = self._paragraph, []
            self._term(number, _plain(term), _plain(said[1]))
        elif _RULED.fullmatch(line) or _REFERENCE.fullmatch(line):
            self._end()
        elif _BOLD_LINE.fullmatch(line.strip()) and not self._paragraph:
            self._end()
            self._heading(7, _plain(line.strip()).rstrip(":"))
        elif line.lstrip().startswith(">"):
            self._text(number, line.lstrip(" \t>") or "")
        else:
            return False
        return True

    def _is_head(self, delimiter: str) -> bool:
        """Whether the line before is the head of a table."""
        if not self._paragraph or "|" not in self._paragraph[-1][1] + delimiter or not _DELIMITER.fullmatch(delimiter):
            return False
        return len(_cells(self._paragraph[-1][1])) == len(_cells(delimiter))

    def _heading(self, level: int, text: str) -> None:
        if not text:
            return
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        if not self._levels and level == 1:
            self._made.title = text
        self._levels[level] += 1
        self._headings.append((level, text))
        self._begun = True

    def _sentence_line(self, number: int, line: str) -> None:
        if self._entries or self._table is not None:
            self._end()
        broken = self._paragraph and self._paragraph[-1][1].endswith(("  ", "\\"))
        whole = self._paragraph and self._paragraph[-1][1].rstrip().endswith(_ENDED[:4])
        if broken or (whole and not self._is_markdown):
            self._end()
        self._paragraph.append((number, line.lstrip()))

    def _entry(self, number: int, entry: re.Match[str]) -> None:
        is_ordered = entry["number"] is not None
        if self._entries and is_ordered != self._is_ordered and not entry[0][:1].isspace():
            self._end()
        if not self._entries:
            lead = self._paragraph[-1:] if self._paragraph else []
            self._end_paragraph()
            last = self._made.passages[-1] if lead and self._made.passages else None
            self._lead = last if last is not None and last.form == "sentence" and last.text.endswith(":") else None
            if self._lead is not None:
                self._made.passages.pop()
            self._is_ordered = is_ordered
        self._entries.append([(number, entry["text"])])

    def _blank(self) -> None:
        if not self._is_markdown and self._is_alone():
            text = self._paragraph[0][1] if self._paragraph else self._entries[0][0][1]
            self._paragraph, self._entries = [], []
            self._heading(2 if self._levels or self._begun else 1, _plain(text.strip()))
            return
        if self._paragraph or self._table is not None:
            # What ends in a colon leads to the list after it.
            if not (self._paragraph and self._paragraph[-1][1].rstrip().endswith(":")):
                self._end()
            return

    def _is_alone(self) -> bool:
        """Whether what was gathered is a heading of a plain text: one short line without a full stop."""
        if len(self._paragraph) == 1 and not self._entries:
            text = self._paragraph[0][1].strip()
            is_heading = not self._begun or ": " not in text
        elif self._is_ordered and len(self._entries) == 1 == len(self._entries[0]) and not self._paragraph:
            text, is_heading = self._entries[0][0][1].strip(), True
        else:
            return False
        return is_heading and len(text) <= _LONGEST_HEADING and not text.endswith(_ENDED) and text[:1].isalnum()

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._end_paragraph()
        self._end_list()
        self._end_table()

    @property
    def _path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._headings)

    def _end_paragraph(self) -> None:
        lines, self._paragraph = [(n, text.strip().rstrip("\\").rstrip()) for n, text in self._paragraph], []
        if not lines:
            return
        self._begun = True
        plain = [(number, _plain(text)) for number, text in lines]
        # A line that ends in a full stop is prose.
        terms = [term_of(text, most=_WORDS_IN_PROSE if text.endswith(".") else _TERM_WORDS) for _, text in plain]
        if all(terms) and (len(plain) > 1 or not _END.search(plain[0][1])):
            for (number, _), term in zip(plain, terms, strict=True):
                self._term(number, *term)
            return
        self._made.passages += sentences(plain, self._path)

    def _term(self, line: int, term: str, text: str, sentence: int = 1) -> None:
        self._made.passages.append(Passage("term", text, self._path, line, sentence, term))

    def _end_list(self) -> None:
        given, self._entries = self._entries, []
        lead, self._lead = self._lead, None
        if not given:
            return
        self._begun = True
        entries = [[(number, _plain(text)) for number, text in one] for one in given]
        texts = [" ".join(text for _, text in one) for one in entries]
        terms = [term_of(text, dash=True) for text in texts]
        if all(terms):
            for one, term in zip(entries, terms, strict=True):
                self._term(one[0][0], *term)
            return
        form: Literal["steps", "points"] = "steps" if self._is_ordered else "points"
        whole = [text.endswith((".", "!", "?")) and len(text.split()) > 3 for text in texts]
        if form == "points" and lead is None and all(whole):
            for one in entries:
                self._made.passages += sentences(one, self._path)
            return
        lines = tuple(one[0][0] for one in entries)
        text = lead.text if lead else ""
        made = Passage(form, text, self._path, lead.line if lead else lines[0], entries=tuple(texts), lines=lines)
        self._made.passages.append(made)

    def _end_table(self) -> None:
        if self._table is None:
            return
        (first, heads), self._table = self._table, None
        rows, self._rows = self._rows, []
        self._begun = True
        width = len(heads)
        even = tuple((number, tuple([*map(_plain, cells), *[""] * width][:width])) for number, cells in rows)
        part = " > ".join(self._path)
        self._made.tables.append(Table(part, "line", first, tuple(map(_plain, heads)), even, is_within=True))


def term_of(text: str, dash: bool = False, most: int = _TERM_WORDS) -> tuple[str, str] | tuple[()]:
    """The term of at most so many words and what is said of it in `Term: value`, with `dash` also in `Term – value`; else ()."""
    found = (_TERM_OR_DASH if dash else _TERM).fullmatch(text)
    if not found or len((term := found["term"]).split()) > most or _NO_TERM.fullmatch(term) or _NO_NAME.search(term):
        return ()
    return term, found["text"]


def sentences(lines: Iterable[Line], headings: tuple[str, ...]) -> Iterator[Passage]:
    """The sentences of a paragraph, each with the line in which it begins; `Term: value` within it is a term."""
    numbered = [(number, " ".join(text.split())) for number, text in lines]
    text = " ".join(line for _, line in numbered)
    starts = [0, *accumulate(len(line) + 1 for _, line in numbered[:-1])]
    counted: Counter[int] = Counter()
    before = ""
    for start, said in _split(text):
        line = numbered[bisect_right(starts, start) - 1][0]
        counted[line] += 1
        if term := term_of(said, most=_WORDS_IN_PROSE):
            yield Passage("term", term[1], headings, line, counted[line], term[0])
        else:
            yield Passage("sentence", said, headings, line, counted[line], before=before)
        before = said


def _split(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for end in _END.finditer(text):
        word = text[start : end.start()].rpartition(" ")[2].strip('("“').casefold()
        follows = text[end.end() : end.end() + 2].lstrip('"“(')
        is_short = text[end.start()] == "." and (word in _SHORT or _LETTERS.fullmatch(word) is not None)
        if is_short or not follows[:1].isupper():
            continue
        yield start, text[start : end.end()].strip()
        start = end.end()
    if text[start:].strip():
        yield start, text[start:].strip()


def _cells(line: str) -> tuple[str, ...]:
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return tuple(cell.strip() for cell in _BAR.split(line))


_MARKS = (
    (re.compile(r"!\[[^\[\]]*\]\([^()]*\)"), ""),
    (re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\[[^\[\]]*\])"), r"\1"),
    (re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*]+)(?<=[^\s*])\1(?![\w*])"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])([^_]+)(?<=[^\s_])\1(?!\w)"), r"\2"),
    (re.compile(r"~~([^~]+)~~"), ""),
    (re.compile(r"`+([^`]+)`+"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~-])"), r"\1"),
)


def _plain(text: str) -> str:
    """A text without Markdown's marks; a picture says nothing, and what is struck out does not hold."""
    for marks, instead in _MARKS:
        text = marks.sub(instead, text)
    return " ".join(html.unescape(text).split())


def _without_comments(text: str) -> str:
    """A text whose HTML comments, which nobody sees, are empty lines."""
    parts, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join([*parts, text[at:]])


def _front_matter(lines: list[Line]) -> int:
    """How many lines at the beginning are metadata between `---`."""
    if not lines or lines[0][1].rstrip() != "---":
        return 0
    return next((number for number, line in lines[1:200] if line.rstrip() in ("---", "...")), 0)
