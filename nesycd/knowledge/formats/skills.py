"""Lessons and rules as Agent Skills: a folder for each kind of question, with a `SKILL.md` that any agent can read.

What a `SKILL.md` must be is published (https://agentskills.io/specification): YAML front matter with `name`, which is also its
folder's, and `description`; then Markdown. Only approved items go out, since an agent takes what it reads for advice. Each is an
element of a list, followed by a comment with its id; all else that is known of it (status, reviewer, evidence, a rule's clauses)
lies beside it in `assets/nesycd.yaml`, and comes back but for status and reviewer, which a skill from elsewhere could claim. An
element that was edited is an edit of its item, a new one is a proposed item. Of a skill from elsewhere each section is proposed
as a lesson.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Rule, Status, content_hash
from nesycd.core.text import printable, shortened
from nesycd.knowledge.formats import yaml_file
from nesycd.knowledge.formats.mapping import Row
from nesycd.knowledge.journal import MAX_ITEM
from nesycd.knowledge.yaml_text import Node, parse, quote

FILE = "SKILL.md"
ORIGINS = "assets/nesycd.yaml"
"""Beside a `SKILL.md` of ours: its items whole, in the format `yaml`."""
MOST_NAME, MOST_DESCRIPTION, MOST_COMPATIBILITY = 64, 1024, 500
"""Characters, by the specification."""
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MOST_ITEMS, _MOST_TEXT = 100, 100_000
"""Items in one skill, and characters of their texts, unless it is one item: an agent reads it whole, and the specification
recommends fewer than 500 lines."""
_MOST_FILE, _MOST_ORIGINS, _MOST_SKILLS, _DEPTH = 2 * MAX_ITEM, 100 * MAX_ITEM, 10_000, 4
"""Bytes of a `SKILL.md` and of what lies beside it, skills in a folder, and folders above a skill that are looked into."""
_DECIDED = ("status", "reviewer")
_SPLITS = re.compile(r"train|valid|test|ood_\w+")
_PLACE = "knowledge-base"
"""Name of the skill of items that nothing tells the kind of question of."""
_HEADINGS = {"Lessons": "lesson", "Rules": "rule"}
_MARK = re.compile(r"\s*<!-- nesycd (?P<id>[0-9a-f]{16}) -->\s*")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")
_FENCE = re.compile(r"(```+|~~~+)")


# --- writing ----------------------------------------------------------------------------------------------------------


def exported(entries: Iterable[Entry]) -> list[Entry]:
    """Those that go out: approved lessons and rules."""
    return [one for one in entries if one.status is Status.APPROVED and one.item.kind in _HEADINGS.values()]


def write(entries: Iterable[Entry]) -> dict[str, str]:
    """The files of all skills, by their path below the folder: the same for the same items."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in exported(entries):
        groups[_kind_of_question(entry)].append(entry)
    parts = [
        (group, number, some)
        for group, found in sorted(groups.items())
        for number, some in enumerate(_divided(found), 1)
    ]
    files: dict[str, str] = {}
    for name, (group, _, some) in zip(_names([(group, number) for group, number, _ in parts]), parts, strict=True):
        files[f"{name}/{FILE}"] = _skill(name, group, some)
        files[f"{name}/{ORIGINS}"] = yaml_file.write(some)
    return files


def _divided(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    part, size = list[Entry](), 0
    for entry in entries:
        if part and (len(part) == _MOST_ITEMS or size + len(entry.item.text) > _MOST_TEXT):
            yield part
            part, size = [], 0
        part.append(entry)
        size += len(entry.item.text)
    yield part


def _kind_of_question(entry: Entry) -> str:
    """What most of an item's questions have in common: a rule's first task, else the path in the questions' ids."""
    if isinstance(entry.item, Rule) and entry.item.scope:
        return entry.item.scope[0]
    counts = Counter(_path(piece.example) for piece in entry.evidence if piece.example)
    return min(counts, key=lambda path: (-counts[path], path), default="")


def _path(uid: str) -> str:
    """`longtail/train/genealogy/012` belongs to `longtail/genealogy`; of other ids nothing is known."""
    return "/".join(part for part in uid.split("/")[:-1] if not _SPLITS.fullmatch(part))


def _names(parts: Sequence[tuple[str, int]]) -> list[str]:
    """A valid name for each part of a group; those that would be alike get a hash of their group."""
    plain = [_slug(group, f"-{number}" if number > 1 else "") for group, number in parts]
    counts = Counter(plain)
    ends = [
        f"-{content_hash([group, number], 6)}" if counts[name] > 1 else ""
        for name, (group, number) in zip(plain, parts, strict=True)
    ]
    return [_slug(name, end) if end else name for name, end in zip(plain, ends, strict=True)]


def _slug(text: str, end: str = "") -> str:
    folded = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    words = "-".join(re.findall(r"[a-z0-9]+", folded)) or _PLACE
    return words[: MOST_NAME - len(end)].rstrip("-") + end


def _skill(name: str, group: str, entries: Sequence[Entry]) -> str:
    title = shortened(printable(" ".join(group.replace("/", " ").replace("_", " ").split())), 80) or "knowledge base"
    lines = ["---", f"name: {name}", f"description: {quote(_description(title, entries))}", "metadata:"]
    lines += ["  generator: nesycd", f"  items: {quote(ORIGINS)}", "---", "", f"# {title[0].upper()}{title[1:]}"]
    for heading, kind in _HEADINGS.items():
        if some := [entry for entry in entries if entry.item.kind == kind]:
            lines += ["", f"## {heading}", ""]
            lines += [
                line for entry in some for line in (*_element(entry.item.text), f"  <!-- nesycd {entry.item_id} -->")
            ]
    return "\n".join(lines) + "\n"


def _description(title: str, entries: Sequence[Entry]) -> str:
    """What the skill is, when to use it, and how it begins."""
    counts = Counter(entry.item.kind for entry in entries)
    told = " and ".join(
        f"{counts[kind]} {kind}{'s' if counts[kind] > 1 else ''}" for kind in ("lesson", "rule") if counts[kind]
    )
    first = shortened(" ".join(printable(entries[0].item.text).split()), 300)
    return (
        f"{told} on how to answer questions of the kind {title}. Use when such a question is asked. The first: {first}"
    )


def _element(text: str) -> list[str]:
    """A text as an element of a list, its further lines indented. None of it can be taken for a comment of ours."""
    lines = [_shown(line) for line in text.split("\n")]
    return [f"- {lines[0]}".rstrip(), *(f"  {line}".rstrip() for line in lines[1:])]


def _shown(line: str) -> str:
    return "\t".join(map(printable, line.split("\t"))).replace("<!--", "&lt;!--")


def _text_of(lines: Sequence[str]) -> str:
    """The text of an element as it stands in a file."""
    dedented = [line.removeprefix("  ") for line in (lines[0].removeprefix("-").removeprefix(" "), *lines[1:])]
    return "\n".join(dedented).replace("&lt;!--", "<!--").strip()


# --- reading ----------------------------------------------------------------------------------------------------------


def is_skill(path: Path) -> bool:
    """Whether a path is what this format reads: a folder, or a `SKILL.md`."""
    return path.name == FILE or path.is_dir()


def files(place: Path) -> list[Path]:
    """The `SKILL.md` of a skill (its folder or the file itself), or of all skills in a folder, in order; see `read`."""
    found = [place] if place.name == FILE and not place.is_dir() else sorted(_found(place))
    if not found:
        raise KnowledgeError(f"{place}: no {FILE} is in it or in the folders below; a skill is a folder with one")
    if len(found) > _MOST_SKILLS:
        raise KnowledgeError(f"{place}: has {len(found):,} skills, and at most {_MOST_SKILLS:,} are read at once")
    return found


def fingerprint(place: Path) -> str:
    """Hash of all that `read` reads, independent of the folder's place; it raises the same."""
    parts = [(file, _MOST_FILE) for file in files(place)]
    parts += [(file.parent / ORIGINS, _MOST_ORIGINS) for file, _ in parts if _is_ours(file)]
    return content_hash([_contents(path, most) for path, most in parts])


def read(place: Path) -> Iterator[Row]:
    """The items of a skill (its folder or its `SKILL.md`), or of all skills in a folder.

    Raises:
        KnowledgeError: no skill is there; one that breaks the specification, with file and line; a link, or a file that is
            too large or no text.
    """
    for file in files(place):
        shown = str(file.relative_to(place)) if file != place else FILE
        yield from _items(file, shown)


def _found(folder: Path, depth: int = 0) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise KnowledgeError(f"{folder}: cannot be read: {error.strerror}") from None
    if (folder / FILE) in inside:
        yield folder / FILE
        return
    for path in inside:
        if path.is_symlink() and path.is_dir():
            raise KnowledgeError(f"{path}: is a link; only folders and files themselves are read")
        if path.is_dir() and depth < _DEPTH and not path.name.startswith("."):
            yield from _found(path, depth + 1)


def _contents(path: Path, most: int) -> str:
    """A text file as it is, with line feeds at the ends of its lines."""
    try:
        if path.is_symlink() or (path.parent.name == "assets" and path.parent.is_symlink()):
            raise KnowledgeError(f"{path}: is a link, or in one; only folders and files themselves are read")
        if not path.is_file():
            raise KnowledgeError(f"{path}: is no plain file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise KnowledgeError(f"{path}: is larger than {most:,} bytes, and so no file of a skill")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise KnowledgeError(f"{path}: line {line}: is not UTF-8 text (byte {error.start})") from None


def _is_ours(file: Path) -> bool:
    origins = file.parent / ORIGINS
    return origins.exists() or origins.is_symlink()


def _items(file: Path, shown: str) -> Iterator[Row]:
    lines = _contents(file, _MOST_FILE).split("\n")
    name, begin = front_matter(lines, file)
    source = {"evidence": [{"source": f"{name}/{FILE}"}]}
    ours = _is_ours(file)
    known = _known(file.parent / ORIGINS) if ours else {}
    for section in _sections(lines, begin):
        if ours and section.title in _HEADINGS:
            for element in _elements(section):
                yield _ours(element, known, _HEADINGS[section.title], shown, source)
        elif text := section.told(name):
            yield Row(f"{shown} line {section.line}", {"kind": "lesson", "text": text, **source})


def front_matter(lines: Sequence[str], file: Path) -> tuple[str, int]:
    """The skill's name, and the number of the first line (from 0) of its text.

    Raises:
        KnowledgeError: it breaks the specification; the message names file and line.
    """
    if not lines or lines[0].rstrip() != "---":
        raise KnowledgeError(
            f"{file}: line 1: a skill begins with front matter: a line `---`, `name:`, `description:`, `---`"
        )
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    if not end:
        raise KnowledgeError(f"{file}: line 1: the front matter has no end: a line `---`")
    head = parse("\n" + "\n".join(lines[1:end]), str(file))
    if not isinstance(head.value, Mapping):
        raise KnowledgeError(f"{file}: line 2: the front matter must be keys with values, such as `name: my-skill`")
    name = _given(head, "name", file, MOST_NAME)
    if not _NAME.fullmatch(name):
        raise KnowledgeError(
            f"{file}: line {head.value['name'].line}: name: {printable(shortened(name, 80))!r} is none: lower-case letters, "
            "digits, and single hyphens between them"
        )
    _given(head, "description", file, MOST_DESCRIPTION)
    if "compatibility" in head.value:
        _given(head, "compatibility", file, MOST_COMPATIBILITY)
    return name, end + 1


def _given(head: Node, key: str, file: Path, most: int) -> str:
    node = head.value.get(key, Node(None, 2))
    if not isinstance(node.value, str) or not node.value.strip():
        raise KnowledgeError(
            f"{file}: line {node.line}: {key}: is missing, and must be a text of 1 to {most} characters"
        )
    if len(node.value) > most:
        raise KnowledgeError(
            f"{file}: line {node.line}: {key}: has {len(node.value):,} characters, and at most {most} are allowed"
        )
    return str(node.value)


def _known(origins: Path) -> dict[str, Mapping[str, Any]]:
    """What lies beside a skill of ours, by item id, without who decided what: a skill from elsewhere could say anything."""
    rows = yaml_file.read(_contents(origins, _MOST_ORIGINS), str(origins))
    found = [row.value for row in rows if isinstance(row.value, Mapping) and "id" in row.value]
    return {str(one["id"]): {key: one[key] for key in one if key not in _DECIDED} for one in found}


@dataclass(frozen=True)
class _Section:
    """A heading with its own text: what stands below it up to the next heading. `path`: the headings above it."""

    title: str
    path: tuple[str, ...]
    lines: tuple[str, ...]
    line: int
    """Number of its first line."""

    def told(self, name: str) -> str:
        """It as a lesson; "" where it says nothing. A first heading that names the skill is left out."""
        body = "\n".join(self.lines).strip()
        titles = [title for title in (*self.path, self.title) if title and _slug(title) != name]
        return f"{': '.join(titles)}\n{body}".strip() if body else ""


def _sections(lines: Sequence[str], begin: int) -> Iterator[_Section]:
    open_fence = ""
    above: list[tuple[int, str]] = []
    title, body, first = "", list[str](), begin + 1
    for number, line in enumerate(lines[begin:], begin + 1):
        fence = _FENCE.match(line)
        if fence and (not open_fence or (fence[1][0] == open_fence[0] and len(fence[1]) >= len(open_fence))):
            open_fence = "" if open_fence else fence[1]
        heading = None if open_fence or fence else _HEADING.fullmatch(line)
        if heading is None:
            body.append(line)
            continue
        yield _Section(title, tuple(told for _, told in above[:-1]), tuple(body), first)
        level, title, body, first = len(heading[1]), _title(heading[2]), [], number
        above = [*(one for one in above if one[0] < level), (level, title)]
    yield _Section(title, tuple(told for _, told in above[:-1]), tuple(body), first)


def _title(text: str) -> str:
    """A heading's text, without marks at its end: `## Title ##`."""
    bare = text.strip().rstrip("#")
    return bare.strip() if not bare or bare[-1].isspace() else text.strip()


@dataclass(frozen=True)
class _Element:
    """An element of a list: its lines, the number of the first one, and the id behind it ("" = none)."""

    lines: tuple[str, ...]
    line: int
    id: str


def _elements(section: _Section) -> Iterator[_Element]:
    lines: list[str] = []
    first = 0
    for number, line in enumerate(section.lines, section.line + 1):
        mark = _MARK.fullmatch(line)
        if (mark or line.startswith("- ") or line == "-") and lines:
            yield _Element(tuple(lines), first, mark["id"] if mark else "")
            lines = []
        if mark is None and (lines or line.startswith("-")):
            first = first if lines else number
            lines.append(line)
    if lines:
        yield _Element(tuple(lines), first, "")


def _ours(
    element: _Element, known: Mapping[str, Mapping[str, Any]], kind: str, shown: str, source: Mapping[str, Any]
) -> Row:
    """An item that we wrote, edited or not; or one that was put beside them."""
    where, text = f"{shown} line {element.line}", _text_of(element.lines)
    if element.id not in known:
        given = {"id": element.id} if element.id else {}
        return Row(where, {"kind": kind, "text": text, **given, **source})
    value = known[element.id]
    was = [line.rstrip() for line in _element(str(value.get("text", "")))]
    as_it_was = [line.rstrip() for line in element.lines] == was
    return Row(where, value if as_it_was else {**value, "text": text})
