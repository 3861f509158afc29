"""From text to clauses. An error says where (line, column, a caret below the place) and what was expected there."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import normal, printable
from nesycd.rules.clauses import (
    AGGREGATES,
    COMPARISONS,
    FALSE,
    FUNCTIONS,
    PRODUCTS,
    RESERVED,
    SUMS,
    UNITS,
    Aggregate,
    Atom,
    Calculation,
    Call,
    Clause,
    Comparison,
    Constant,
    Duration,
    Literal,
    Negated,
    Term,
    Variable,
    aggregates,
    is_calculated,
    tidy_number,
)
from nesycd.rules.values import written_date

MAX_TEXT = 20_000
MAX_LITERALS = 60
MAX_TERMS = 12
MAX_DEPTH = 20
MAX_DIGITS = 30
"""What no rule by hand needs; beyond them a text is refused before anything is built from it."""

_TOKEN = re.compile(
    r"""(?P<blank>\s+|%[^\n]*)
    |(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?!-?[0-9]))
    |(?P<number>[0-9]+(?:\.[0-9]+)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>:-|:|\\\+|\\=|!=|<=|=<|>=|//|[<>=+\-*/(),.])
    |(?P<word>[^\W0-9]\w*)""",
    re.VERBOSE,
)
_SAME = {"\\=": "!=", "=<": "<=", "\\+": "not"}
_OPERATORS = (*COMPARISONS, "is", *SUMS, *PRODUCTS)
_SINGULAR = {unit.removesuffix("s"): unit for unit in UNITS} | {unit: unit for unit in UNITS}
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


def parse_goal(text: str) -> Atom:
    """Read an atom that may have variables, as a question does; a variable in the place of its predicate gives "".

    Raises:
        ClauseError: the text is not of the syntax.
    """
    parser = _Parser(text)
    if parser.next.kind == "word" and parser.peek().text == "(" and not parser.is_name(parser.next):
        parser.place += 1
        goal = Atom("", parser.terms(head=False))
    else:
        goal = parser.atom("expected what is asked, such as grandfather(ann, X)")
    parser.take(".")
    if not parser.at_end:
        parser.fail("expected the end")
    return goal


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

    def peek(self, steps: int = 1) -> _Token:
        return self.tokens[min(self.place + steps, len(self.tokens) - 1)]

    def clause(self) -> Clause:
        otherwise: tuple[int, ...] | None = None
        if self.take(":-"):
            head, body = FALSE, self.body()
        else:
            given = self.otherwise()
            start = self.next
            head = self.atom(
                "a clause begins with its conclusion, such as grandfather(X, Z): expected a name", head=True
            )
            body = self.body() if self.take(":-") else ()
            if head.predicate == FALSE.predicate and head.terms:
                self.fail("'false' is what a constraint concludes, and has no arguments: expected another name", start)
            otherwise = None if given is None else self.places(given, head, start)
        if not self.take("."):
            self.fail("expected ',' or '.'" if body else "expected ':-' or '.'")
        return Clause(head, body, otherwise)

    def otherwise(self) -> list[_Token] | None:
        """What stands before the conclusion of a default: `otherwise`, or with variables `otherwise for X, Y:`."""
        if self.next.text != "otherwise" or self.peek().kind != "word":
            return None
        self.place += 1
        named: list[_Token] = []
        if self.next.text == "for" and self.peek().kind == "word" and not self.is_name(self.peek()):
            while not named or self.take(","):
                self.place += not named
                if self.next.kind != "word" or self.is_name(self.next):
                    self.fail("expected a variable of the conclusion")
                named.append(self.next)
                self.place += 1
            if not self.take(":"):
                self.fail("expected ',' or ':'")
        return named

    def places(self, named: list[_Token], head: Atom, start: _Token) -> tuple[int, ...]:
        """Of a default: which arguments of its conclusion must be the same; without names all but the last."""
        if head == FALSE or not head.terms:
            self.fail("a default concludes a value, its last argument: expected a conclusion with arguments", start)
        places = []
        for token in named:
            variable = Variable(_composed(token.text))
            if variable not in head.terms:
                self.fail(f"expected a variable of the conclusion {head}", token)
            places.append(head.terms.index(variable))
        found = tuple(sorted(set(places))) if named else tuple(range(len(head.terms) - 1))
        if any(is_calculated(head.terms[place]) for place in found):
            self.fail("only the last argument of a default may be calculated: expected 'Variable is ...' beside", start)
        return found

    def body(self) -> tuple[Literal, ...]:
        parts = [self.literal()]
        while self.take(","):
            if len(parts) == MAX_LITERALS:
                self.fail(f"expected at most {MAX_LITERALS} conditions")
            parts.append(self.literal())
        return tuple(parts)

    def literal(self) -> Literal:
        unless = self.next.text == "unless" and self.peek().kind == "word" and self.peek().text not in _OPERATORS
        if unless or self.next.text == "not":
            self.place += 1
            return Negated(self.atom("expected what is not to hold, such as father(X, Y)"))
        if self.is_name(self.next) and not self._begins_value():
            return self.atom("")
        start = self.next
        left = self.expression("expected a condition, such as father(X, Y), not p(X) or X < 3")
        operator = self.take(*COMPARISONS, "is")
        if operator is None:
            self.fail(f"expected a comparison ({', '.join(COMPARISONS)} or is)")
        if operator == "is" and is_calculated(left):
            self.fail("expected a variable or a number before 'is'", start)
        return Comparison("=" if operator == "is" else str(operator), left, self.expression())

    def atom(self, expected: str, *, head: bool = False) -> Atom:
        if not self.is_name(self.next):
            self.fail(expected)
        start = self.next
        predicate = normal(start.text)
        self.place += 1
        if predicate == FALSE.predicate and not head:
            self.fail("'false' is what a constraint concludes: expected a condition that can hold", start)
        return Atom(predicate, self.terms(head))

    def terms(self, head: bool) -> tuple[Term, ...]:
        """The arguments in brackets, where there are some."""
        terms: list[Term] = []
        if self.take("("):
            terms.append(self.argument(head))
            while self.take(","):
                if len(terms) == MAX_TERMS:
                    self.fail(f"expected at most {MAX_TERMS} arguments")
                terms.append(self.argument(head))
            if not self.take(")"):
                self.fail("expected ',' or ')'")
        return tuple(terms)

    def argument(self, head: bool) -> Term:
        start = self.next
        term = self.expression("expected an argument: a variable, a name, a text in quotes or a number")
        if is_calculated(term) and not head:
            self.fail("a condition cannot calculate: expected a variable, with 'Variable is ...' beside", start)
        if head and isinstance(term, Aggregate):
            self.fail(
                "a conclusion cannot aggregate: expected a variable, with 'Variable is ...' in the conditions", start
            )
        if head and term == Variable("_"):
            self.fail("'_' has no value: expected another argument", start)
        return term

    def expression(self, expected: str = "expected a value: a variable, a text in quotes or a number") -> Term:
        left = self.product(expected)
        while operator := self.take(*SUMS):
            right = self.product(expected)
            if self.next.kind == "word" and self.next.text in _SINGULAR:
                right = Duration(right, _SINGULAR[self.next.text])
                self.place += 1
            left = Calculation(operator, left, right)
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
            if isinstance(inner, Constant) and isinstance(inner.value, int | Decimal):
                return Constant(-inner.value)
            return Calculation("-", Constant(0), inner)
        if token.kind == "number":
            value: Term = Constant(tidy_number(Decimal(token.text)))
        elif token.kind == "date":
            value = Constant(self._day(token))
        elif token.kind == "string":
            said = self._unquoted(token)
            day = written_date(said)
            value = Constant(said) if day is None else Constant(day, said)
        elif self.is_name(token) and self.peek().text == "(":
            return self.call(token)
        elif token.kind == "word" and token.text not in RESERVED:
            value = Constant(token.text) if self.is_name(token) else Variable(_composed(token.text))
        else:
            self.fail(expected)
        self.place += 1
        return value

    def call(self, token: _Token) -> Term:
        """`round(X, 2)`, or what runs over all ways in which conditions hold: `max(W : bag(B), weight(B, W))`."""
        if token.text not in {*FUNCTIONS, *AGGREGATES}:
            self.place += 1
            self.fail(f"terms do not nest, and {token.text} is no function: expected ',' or ')'")
        self.place += 2
        terms = [self.inner(token)]
        while self.take(","):
            if len(terms) == MAX_TERMS:
                self.fail(f"expected at most {MAX_TERMS} values")
            terms.append(self.inner(token))
        if self.take(":"):
            return self.aggregate(token, terms)
        if token.text not in FUNCTIONS:
            self.fail(f"expected ',' or ':', as in {token.text}(X : p(X))")
        if not self.take(")"):
            self.fail("expected ',' or ')'" + (" or ':'" if token.text in AGGREGATES else ""))
        fewest, most = FUNCTIONS[token.text]
        if not fewest <= len(terms) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            self.fail(f"{token.text} takes {wanted} values, not {len(terms)}: expected others", token)
        return Call(token.text, tuple(terms))

    def inner(self, token: _Token) -> Term:
        return self.expression(f"expected a value in {token.text}(...)")

    def aggregate(self, token: _Token, terms: list[Term]) -> Aggregate:
        """The conditions of an aggregate, up to its closing bracket."""
        if token.text not in AGGREGATES:
            self.fail(
                f"{token.text} runs over no conditions ({', '.join(AGGREGATES)} do): expected another name", token
            )
        body = self.body()
        if not self.take(")"):
            self.fail("expected ',' or ')'")
        made = Aggregate(token.text, tuple(terms), body)
        if any(True for part in (*terms, *body) for _ in aggregates(part)):
            self.fail("aggregates do not nest: expected a value that another clause concludes", token)
        if Variable("_") in terms:
            self.fail(f"'_' has no value: expected variables before ':' in {token.text}(...)", token)
        return made

    def _day(self, token: _Token) -> date:
        try:
            return date.fromisoformat(token.text)
        except ValueError:
            self.fail("expected a day of the calendar", token)
            raise

    def _begins_value(self) -> bool:
        """Whether what begins with a name is a value to be compared rather than an atom: `abs(X) < 3`, `ann != X`."""
        place = self.place + 1
        if self.tokens[place].text == "(" and self.tokens[place].kind == "sign":
            if self.next.text not in {*FUNCTIONS, *AGGREGATES}:
                return False
            depth = 0
            while self.tokens[place].kind != "end":
                if self.tokens[place].kind == "sign":
                    depth += {"(": 1, ")": -1}.get(self.tokens[place].text, 0)
                    if depth == 1 and self.tokens[place].text == ":":
                        return True
                place += 1
                if depth == 0:
                    break
        follows = self.tokens[place]
        return follows.kind in ("sign", "word") and follows.text in _OPERATORS

    def is_name(self, token: _Token) -> bool:
        """Whether a word is a predicate or a constant rather than a variable."""
        first = token.text[:1]
        return token.kind == "word" and token.text not in RESERVED and not (first == "_" or first != first.lower())

    def _unquoted(self, token: _Token) -> str:
        if not token.text[1:-1].strip():
            self.fail("expected a text within the quotes", token)
        return re.sub(r"\\(.)", lambda match: _UNESCAPED.get(match[1], match[1]), token.text[1:-1])


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
