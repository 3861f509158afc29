r"""The small part of YAML that exchange files use: read strictly by PyYAML, and written the same way on every machine.

Reading: every scalar is text (`no`, `1.10` and `1789-07-14` stay what was written), only `~`, `null` and nothing at all
mean "not given". Tags, anchors, a second document, a repeated key and deep nesting are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import is_visible, printable

_MAX_DEPTH = 8
_WORDS = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,.;()/'&+=_%!?-]|:(?! |$)){0,400}(?<! )")
"""Texts that need no quotes outside of `[...]` and `{...}`; commas do within those."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True)
class Node:
    """A parsed value (text, None, list of nodes or mapping of text to nodes) and the line it starts on."""

    value: Any
    line: int

    @property
    def plain(self) -> Any:
        """The value without lines; keys that are not given are left out."""
        if isinstance(self.value, list):
            return [one.plain for one in self.value]
        if isinstance(self.value, dict):
            return {key: one.plain for key, one in self.value.items() if one.value is not None}
        return self.value


def parse(text: str, place: str) -> Node:
    """Read one YAML document.

    Raises:
        KnowledgeError: it is not YAML, or uses what is refused; the message starts with `place` and the line.
    """
    try:
        root = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise KnowledgeError(f"{place}: line {line}: {printable(error.problem or 'is not YAML')}") from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "is not YAML"
        raise KnowledgeError(f"{place}: {printable(reason)}") from None
    if root is None:
        raise KnowledgeError(f"{place}: is empty")
    assert isinstance(root, Node)
    return root


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader, without implicit types: it makes a `Node` of everything."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way
    yaml_constructors: dict[str, Any] = {}  # noqa: RUF012
    # The C loader composes in C, which dies of deep nesting and cannot refuse anchors; its parser is the fast part.
    compose_document = Composer.compose_document
    compose_sequence_node = Composer.compose_sequence_node
    compose_mapping_node = Composer.compose_mapping_node
    compose_scalar_node = Composer.compose_scalar_node

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.anchors: dict[str, yaml.Node] = {}
        self._depth = 0

    def get_single_node(self) -> yaml.Node | None:
        """The one document, where there is one."""
        self.get_event()
        found = None if self.check_event(yaml.StreamEndEvent) else self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            raise _refusal("a second document starts here; only one is read", self.peek_event())
        return found

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, if it has nothing that is refused."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _refusal("anchors and aliases (& and *) are not read here; write the value out", event)
        if event.tag not in (None, "!"):
            raise _refusal(f"the tag {event.tag!r} is not read here; leave it out", event)
        if self._depth > _MAX_DEPTH:
            raise _refusal("nested too deeply", event)
        self._depth += 1
        try:
            return Composer.compose_node(self, parent, index)
        finally:
            self._depth -= 1

    def build(self, node: yaml.Node) -> Node:
        """A `Node` of PyYAML's."""
        line = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return Node([self.construct_object(one) for one in node.value], line)
        if not isinstance(node, yaml.MappingNode):
            return Node(None if node.tag.endswith(":null") else node.value, line)
        found: dict[str, Node] = {}
        for key_node, value in node.value:
            key = self.construct_object(key_node).value
            if not isinstance(key, str):
                raise _refusal("a key must be text", key_node)
            if key in found:
                raise _refusal(f"the key {key!r} stands twice", key_node)
            found[key] = self.construct_object(value)
        return Node(found, line)


_Loader.add_constructor(None, _Loader.build)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


def _refusal(why: str, at: Any) -> ConstructorError:
    """`at`: an event or node of PyYAML's."""
    return ConstructorError(None, None, why, at.start_mark)


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
