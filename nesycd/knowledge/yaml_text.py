r"""The small part of YAML that exchange files use, read strictly and written the same way on every machine.

Reading: every scalar is text (`no`, `1.10` and `1789-07-14` stay what was written), only `~`, `null` and nothing at all
mean "not given". Tags, anchors, a second document, a repeated key and deep nesting are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import is_visible, printable

_MAX_DEPTH = 8
_WORDS = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
_NULLS = {"", "~", "null", "Null", "NULL"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,.;()/'&+=_%!?-]|:(?! |$)){0,400}(?<! )")
"""Texts that need no quotes outside of `[...]` and `{...}`; commas do within those."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True)
class Node:
    """A parsed value (text, None, list of nodes or mapping of text to nodes) and the line it starts on."""

    value: Any
    line: int


def parse(text: str, place: str) -> Node:
    """Read one YAML document.

    Raises:
        KnowledgeError: it is not YAML, or uses what is refused; the message starts with `place` and the line.
    """
    try:
        root = _Builder(place).build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KnowledgeError(f"{place}: line {line}: {printable(error.problem or 'is not YAML')}") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "is not YAML"
        raise KnowledgeError(f"{place}: {printable(reason)}") from None
    if root is None:
        raise KnowledgeError(f"{place}: is empty")
    return root


class _Builder:
    """Builds nodes from parser events. PyYAML's own composers recurse, and the C one dies of deep nesting."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.open: list[Node] = []
        self.keys: list[str | None] = []
        self.root: Node | None = None

    def build(self, events: Iterable[yaml.Event]) -> Node | None:
        documents = 0
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.refusal(line, "a second document starts here; only one is read")
            elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise self.refusal(line, "anchors and aliases (& and *) are not read here; write the value out")
            elif isinstance(event, yaml.NodeEvent):
                self._take(event, line)
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                self.open.pop()
                self.keys.pop()
        return self.root

    def refusal(self, line: int, why: str) -> KnowledgeError:
        return KnowledgeError(f"{self.place}: line {line}: {why}")

    def _take(self, event: yaml.NodeEvent, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise self.refusal(line, f"the tag {printable(tag)!r} is not read here; leave it out")
        if isinstance(event, yaml.ScalarEvent):
            given = not (event.implicit[0] and event.style is None and event.value in _NULLS)
            self._place(Node(event.value if given else None, line))
            return
        node = Node([] if isinstance(event, yaml.SequenceStartEvent) else {}, line)
        self._place(node)
        self.open.append(node)
        self.keys.append(None)
        if len(self.open) > _MAX_DEPTH:
            raise self.refusal(line, "nested too deeply")

    def _place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        holder, key = self.open[-1].value, self.keys[-1]
        if isinstance(holder, list):
            holder.append(node)
        elif key is None:
            if not isinstance(node.value, str):
                raise self.refusal(node.line, "a key must be text")
            if node.value in holder:
                raise self.refusal(node.line, f"the key {printable(node.value)!r} stands twice")
            self.keys[-1] = node.value
        else:
            holder[key] = node
            self.keys[-1] = None


def emit_mapping(body: Mapping[str, Any]) -> list[str]:
    """Lines of a list element `- key: value`; what is nested stands on one line, mappings in a list on one line each."""
    lines: list[str] = []
    for key, value in body.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines.append(f"{key}:")
            lines += [f"- {_flow(one)}" for one in value]
        else:
            lines.append(f"{key}: {quote(value) if isinstance(value, str) else _flow(value)}")
    return [("- " if number == 0 else "  ") + line for number, line in enumerate(lines)]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if value is None:
        return "~"
    return quote(str(value).lower() if isinstance(value, bool) else str(value), inside=True)


def quote(text: str, *, inside: bool = False) -> str:
    """`text` as a one-line YAML scalar: bare where that is safe, else in double quotes. `inside` brackets."""
    bare = _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not (inside and re.search(r"[,?:]", text))
    if bare:
        return text
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    """A character as it may stand within double quotes: what is invisible or turns the text around is spelled out."""
    if is_visible(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
