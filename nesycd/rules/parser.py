"""From text to clauses. An error says where (line, column, a caret below the place) and what was expected there."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import normal, printable
from nesycd.rules.clauses import (
    COMPARISONS,
    FALSE,
    PRODUCTS,
    RESERVED,
    SUMS,
    Atom,
    Calculation,
    Clause,
    Comparison,
    Constant,
    Literal,
    Negated,
    Term,
    Variable,
    tidy_number,
)

MAX_TEXT = 20_000
MAX_LITERALS = 60
MAX_TERMS = 12
MAX_DEPTH = 20
MAX_DIGITS = 30
"""What no rule by hand needs; beyond them a text is refused before anything is built from it."""

_TOKEN = re.compile(
    r"""(?P<blank>\s+|%[^\n]*)
    |(?P<number>[0-9]+(?:\.[0-9]+)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>:-|\\\+|\\=|!=|<=|=<|>=|//|[<>=+\-*/(),.])
    |(?P<word>[^\W0-9]\w*)""",
    re.VERBOSE,
)
_SAME = {"\\=": "!=", "=<": "<=", "\\+": "not"}
_UNESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_SHOWN = 60


class ClauseError(KnowledgeError):
    """A clause text that cannot be read: the place and what was expected."""

    def __init__(self, text: str, offset: int, problem: str) -> None:
        """`offset`: of the character in `text` that the caret points at."""
        before = text[:offset]
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1
        row = text.split("\n")[self.line - 1]
        start = max(0, self.column - 1 - _SHOWN)
        lead, rest = row[start : self.column - 1], row[self.column - 1 : self.column - 1 + _SHOWN]
        lead, rest = (printable(part.replace("\t", " ")) for part in (lead, rest))
        caret = " " * len(lead) + "^"
        super().__init__(f"line {self.line}, column {self.column}: {problem}\n    {lead}{rest}\n    {caret}")


def parse_clauses(text: str) -> tuple[Clause, ...]:
    """Read clauses, each closed by a full stop.

    Raises:
        ClauseError: the text is not of the syntax.
    """
    parser = _Parser(text)
    clauses = []
    while not parser.at_end:
        clauses.append(parser.clause())
    if not clauses:
        raise ClauseError(text, 0, "expected a clause, but there is none")
    return tuple(clauses)


def parse_facts(text: str) -> tuple[Atom, ...]:
    """Read clauses without body or variables, as in a rule's tests.

    Raises:
        ClauseError: the text is not of the syntax.
        KnowledgeError: a clause that is no fact.
    """
    clauses = parse_clauses(text)
    for clause in clauses:
        if clause.body or not all(isinstance(term, Constant) for term in clause.head.terms):
            raise KnowledgeError(f"expected facts such as father(ann, ben)., but found {clause}")
    return tuple(clause.head for clause in clauses)


def parse_body(text: str) -> tuple[Literal, ...]:
    """Read a conjunction without a full stop, as in a rule's exceptions.

    Raises:
        ClauseError: the text is not of the syntax.
    """
    parser = _Parser(text)
    body = parser.body()
    if not parser.at_end:
        parser.fail("expected ',' or the end")
    return body


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    offset: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_TEXT:
        raise ClauseError(text, MAX_TEXT, f"the text is too long: {len(text)} characters, {MAX_TEXT} are read at most")
    found = []
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise ClauseError(text, offset, _misfit(text[offset]))
        kind = str(match.lastgroup)
        if kind == "word" and not match.group().isidentifier():
            raise ClauseError(text, offset, f"{printable(match.group())!r} is no name: write it in double quotes")
        if kind == "number" and len(match.group()) > MAX_DIGITS:
            raise ClauseError(text, offset, f"a number of at most {MAX_DIGITS} digits is expected")
        if kind != "blank":
            found.append(_Token(kind, _SAME.get(match.group(), match.group()), offset))
        offset = match.end()
    return [*found, _Token("end", "", len(text))]


def _misfit(char: str) -> str:
    if char in "\"'":
        return f"this {char} is not closed on its line"
    if char in "[]{}|":
        return f"{char} has no meaning here: there are no lists; write one fact for each element instead"
    return f"{printable(char)!r} has no meaning here; a text with such characters is written in double quotes"


class _Parser:
    """Recursive descent, one method for each form of the grammar in `docs/rules.md`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    @property
    def at_end(self) -> bool:
        return self.next.kind == "end"

    def fail(self, expected: str, token: _Token | None = None) -> None:
        at = token or self.next
        found = "the text ends" if at.kind == "end" else f"found {printable(at.text)}"
        raise ClauseError(self.text, at.offset, f"{expected}, but {found}")

    def take(self, *texts: str) -> str | None:
        """The next token's text, and one step on, where it is a sign or word of these."""
        if self.next.kind in ("sign", "word") and self.next.text in texts:
            self.place += 1
            return self.tokens[self.place - 1].text
        return None

    def clause(self) -> Clause:
        if self.take(":-"):
            head, body = FALSE, self.body()
        else:
            start = self.next
            head = self.atom(
                "a clause begins with its conclusion, such as grandfather(X, Z): expected a name", head=True
            )
            body = self.body() if self.take(":-") else ()
            if head.predicate == FALSE.predicate and head.terms:
                self.fail("'false' is what a constraint concludes, and has no arguments: expected another name", start)
        if not self.take("."):
            self.fail("expected ',' or '.'" if body else "expected ':-' or '.'")
        return Clause(head, body)

    def body(self) -> tuple[Literal, ...]:
        parts = [self.literal()]
        while self.take(","):
            if len(parts) == MAX_LITERALS:
                self.fail(f"expected at most {MAX_LITERALS} conditions")
            parts.append(self.literal())
        return tuple(parts)

    def literal(self) -> Literal:
        if self.take("not"):
            return Negated(self.atom("expected what is not to hold, such as father(X, Y)"))
        follows = self.tokens[self.place + 1] if not self.at_end else self.next
        operators = (*COMPARISONS, "is", *SUMS, *PRODUCTS)
        if self._is_name(self.next) and not (follows.kind in ("sign", "word") and follows.text in operators):
            return self.atom("")
        start = self.next
        left = self.expression("expected a condition, such as father(X, Y), not p(X) or X < 3")
        operator = self.take(*COMPARISONS, "is")
        if operator is None:
            self.fail(f"expected a comparison ({', '.join(COMPARISONS)} or is)")
        if operator == "is" and isinstance(left, Calculation):
            self.fail("expected a variable or a number before 'is'", start)
        return Comparison("=" if operator == "is" else str(operator), left, self.expression())

    def atom(self, expected: str, *, head: bool = False) -> Atom:
        if not self._is_name(self.next):
            self.fail(expected)
        start = self.next
        predicate = normal(start.text)
        self.place += 1
        if predicate == FALSE.predicate and not head:
            self.fail("'false' is what a constraint concludes: expected a condition that can hold", start)
        terms: list[Term] = []
        if self.take("("):
            terms.append(self.argument(head))
            while self.take(","):
                if len(terms) == MAX_TERMS:
                    self.fail(f"expected at most {MAX_TERMS} arguments")
                terms.append(self.argument(head))
            if not self.take(")"):
                self.fail("expected ',' or ')'")
        return Atom(predicate, tuple(terms))

    def argument(self, head: bool) -> Term:
        start = self.next
        term = self.expression("expected an argument: a variable, a name, a text in quotes or a number")
        if isinstance(term, Calculation) and not head:
            self.fail("a condition cannot calculate: expected a variable, with 'Variable is ...' beside", start)
        if head and term == Variable("_"):
            self.fail("'_' has no value: expected another argument", start)
        return term

    def expression(self, expected: str = "expected a value: a variable, a text in quotes or a number") -> Term:
        left = self.product(expected)
        while operator := self.take(*SUMS):
            left = Calculation(operator, left, self.product(expected))
        return left

    def product(self, expected: str) -> Term:
        left = self.factor(expected)
        while operator := self.take(*PRODUCTS):
            left = Calculation(operator, left, self.factor(expected))
        return left

    def factor(self, expected: str) -> Term:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"expected brackets and signs at most {MAX_DEPTH} deep")
        term = self._factor(expected)
        self.depth -= 1
        return term

    def _factor(self, expected: str) -> Term:
        token = self.next
        if self.take("("):
            inner = self.expression(expected)
            if not self.take(")"):
                self.fail("expected ')'")
            return inner
        if self.take("-"):
            inner = self.factor(expected)
            if isinstance(inner, Constant) and not isinstance(inner.value, str):
                return Constant(-inner.value)
            return Calculation("-", Constant(0), inner)
        if token.kind == "number":
            value: Term = Constant(tidy_number(Decimal(token.text)))
        elif token.kind == "string":
            value = Constant(self._unquoted(token))
        elif token.kind == "word" and token.text not in RESERVED:
            value = Constant(token.text) if self._is_name(token) else Variable(_composed(token.text))
        else:
            self.fail(expected)
        self.place += 1
        if self._is_name(token) and self.next.text == "(":
            self.fail("terms do not nest: expected ',' or ')'")
        return value

    def _is_name(self, token: _Token) -> bool:
        """Whether a word is a predicate or a constant rather than a variable."""
        first = token.text[:1]
        return token.kind == "word" and token.text not in RESERVED and not (first == "_" or first != first.lower())

    def _unquoted(self, token: _Token) -> str:
        if not token.text[1:-1].strip():
            self.fail("expected a text within the quotes", token)
        return re.sub(r"\\(.)", lambda match: _UNESCAPED.get(match[1], match[1]), token.text[1:-1])


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
