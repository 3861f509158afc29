"""Knowledge in files: export in several formats, and all-or-nothing import that can be tried first.

YAML, Turtle and JSON-LD are lossless: what is written is read back with items, status, reviewer and evidence, merged entities and
declared relations. So are Agent Skills, but for lessons and rules that are approved alone. The other formats
hold what `docs/knowledge-base.md` says of each; a row that they give under a known id changes only what it states.
A person may write entries by hand with nothing but `kind`, `text` and, for facts, `subject`, `relation`, `object`.
Editing the content of an exported entry under its `id` and importing the file edits that entry.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.files import WINDOWS, decoded, encoding_of, file_hash
from nesycd.core.records import Entry, Status
from nesycd.core.storage import sync_tree
from nesycd.core.text import printable
from nesycd.knowledge import graph_exchange, rows, versions
from nesycd.knowledge.changes import Difference, differences
from nesycd.knowledge.entities import read_entities
from nesycd.knowledge.formats import csv_file, lp, markdown, rdf, skills, xlsx_file, yaml_file
from nesycd.knowledge.formats.mapping import FileEntry, Row, read_rows
from nesycd.knowledge.formats.rdf_graph import ENGLISH
from nesycd.knowledge.graph_exchange import Graph
from nesycd.knowledge.importing import ID, Brought, Given, bring_in
from nesycd.knowledge.merge import item_key, tidy, unite
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.store import DryRun, KnowledgeBase
from nesycd.knowledge.wording import left_behind


@dataclass(frozen=True)
class Format:
    """How knowledge is written, and read where it can be."""

    suffixes: tuple[str, ...]
    write: Callable[..., str | bytes | Iterator[str] | dict[str, str]]
    """Makes the content, in pieces where it may be long, or of a folder the content of its files by their paths."""
    read: Callable[..., Iterable[Row]] | None = None
    lossless: bool = False
    """Whether what it holds of entries is read back whole."""
    has_languages: bool = False
    """Whether names in it may be in several languages, of which `read` is told one."""
    is_binary: bool = False
    """Whether it is bytes, not text."""
    has_lines: bool = False
    """Whether `read` takes its lines one after the other, so that a file may be larger than memory."""
    is_folder: bool = False
    """Whether it is a folder of files, of which `read` is given the path. It holds some items only, and nothing of the graph."""

    @property
    def is_whole(self) -> bool:
        """Whether it holds all of a base."""
        return self.lossless and not self.is_folder


FORMATS = {
    "yaml": Format((".yaml", ".yml"), yaml_file.pieces, yaml_file.read, lossless=True),
    "jsonld": Format((".jsonld", ".json"), rdf.write_jsonld, rdf.read_jsonld, lossless=True, has_languages=True),
    "csv": Format((".csv",), csv_file.pieces, csv_file.read, has_lines=True),
    "tsv": Format((".tsv",), csv_file.tab_pieces, csv_file.read, has_lines=True),
    "xlsx": Format((".xlsx",), xlsx_file.write, xlsx_file.read, is_binary=True),
    "turtle": Format((".ttl",), rdf.write_turtle, rdf.read_turtle, lossless=True, has_languages=True),
    "markdown": Format((".md",), markdown.write),
    "lp": Format((".lp",), lp.write),
    "skills": Format((skills.FILE,), skills.write, skills.read, lossless=True, is_folder=True),
}


_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_SHOWN = 60
"""Characters of a line that is shown as it reads in another encoding."""


@dataclass(frozen=True)
class Imported:
    """What an import did, or would do."""

    counts: AddCounts
    differences: list[Difference]
    """Of a larger import only the first `importing.MOST_DIFFERENCES` changed and new entries, all of them where the base is
    replaced."""
    graph: tuple[str, ...] = ()
    """A line for each change of what is said of entities and relations."""
    notes: tuple[str, ...] = ()
    """What whoever imports should know of it, a sentence each."""
    waiting: int = 0
    """How many of the new entries wait for approval."""


def format_of(path: Path, name: str = "") -> str:
    """The format of a file: the one named, else what its ending says.

    Raises:
        KnowledgeError: there is no such format, or the ending is that of none.
    """
    if name and name not in FORMATS:
        raise KnowledgeError(f"format {printable(name)!r} is none of {', '.join(FORMATS)}")
    found = name or _by_ending(path)
    if not found:
        known = ", ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
        ending = f"the ending {printable(path.suffix)!r} is none of" if path.suffix else "has no ending of"
        raise KnowledgeError(f"{path}: {ending} {known}; rename it, or name its format by --format")
    return found


def _by_ending(path: Path) -> str:
    if skills.is_skill(path):
        return "skills"
    return next((key for key, form in FORMATS.items() if path.suffix.lower() in form.suffixes), "")


def export_text(kb: KnowledgeBase, form: str = "yaml") -> str:
    """The whole KB in a format of text. Two KBs with the same entries give the same text, byte for byte.

    Raises:
        KnowledgeError: the format is no text.
    """
    if FORMATS[form].is_binary or FORMATS[form].is_folder:
        raise KnowledgeError(
            f"{form} is no text, and can only be written to a {'folder' if FORMATS[form].is_folder else 'file'}"
        )
    return b"".join(_content(kb, kb.entries(), form)).decode()


def _content(kb: KnowledgeBase, entries: Sequence[Entry], form: str) -> Iterator[bytes]:
    write = FORMATS[form].write
    graph = [graph_exchange.as_mappings(read_entities(kb))] if FORMATS[form].is_whole else []
    made = write(entries, *graph)
    assert not isinstance(made, dict)
    for piece in [made] if isinstance(made, bytes | str) else made:
        yield piece if isinstance(piece, bytes) else piece.encode()


def export_file(kb: KnowledgeBase, path: Path, form: str = "") -> int:
    """Write the KB to a file, whole or not at all (a full disk leaves the old file); gives the number of entries written.

    Raises:
        KnowledgeError: no such format, an ending of none or of another one, or the file cannot be written. Of a folder: other
            files than an earlier export lie in it.
    """
    entries, name = kb.entries(), format_of(path, form)
    if FORMATS[name].is_folder:
        kept = skills.exported(entries)
        write_folder(path, skills.write(kept), skills.ORIGINS)
        return len(kept)
    if _by_ending(path) not in ("", name):
        raise KnowledgeError(f"{path}: has the ending of {_by_ending(path)}, but is to be written as {name}")
    content = _content(kb, entries, name)
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644  # mkstemp's 0600 would lock colleagues out
        os.chmod(part, mode)
        os.replace(part, path)
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be written: {error.strerror}; the old file is unchanged") from error
    finally:
        Path(part).unlink(missing_ok=True)
    return len(entries)


def write_folder(folder: Path, files: Mapping[str, str], mark: str) -> None:
    """Write a folder of folders, whole or not at all, in the place of an earlier export.

    Args:
        folder: it need not exist.
        files: their contents, by their paths below it.
        mark: a file that each folder of an earlier export holds; nothing else may lie there.

    Raises:
        KnowledgeError: something else lies there, or it cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise KnowledgeError(f"{folder}: is no folder; name another one")
    if other := next((one for one in sorted(folder.glob("*")) if one.is_symlink() or not (one / mark).is_file()), None):
        raise KnowledgeError(
            f"{folder}: {other.name} is in it, which is no export of nesycd; name another folder, or a new one"
        )
    try:
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise KnowledgeError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        for name, content in files.items():
            (part / "new" / name).parent.mkdir(parents=True, exist_ok=True)
            (part / "new" / name).write_text(content, encoding="utf-8", newline="\n")
        (part / "new").mkdir(exist_ok=True)
        sync_tree(part / "new")
        if folder.exists():
            os.replace(folder, part / "old")
        os.replace(part / "new", folder)
    except OSError as error:
        if (part / "old").exists() and not folder.exists():
            os.replace(part / "old", folder)
        raise KnowledgeError(f"{folder}: cannot be written: {error.strerror}; what was there is unchanged") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def import_file(
    kb: KnowledgeBase,
    path: Path,
    *,
    form: str = "",
    status: Status = Status.PROPOSED,
    reviewer: str = "",
    why: str = "",
    dry_run: bool = False,
    replace: bool = False,
    may_lose: bool = False,
    encoding: str = "",
    language: str = ENGLISH,
) -> Imported:
    """Read a file into the KB as one revision, or, with `dry_run`, find out what that would change.

    `status`, and `reviewer` with it, are for entries that do not state theirs; `encoding` is for files that are neither UTF-8
    nor marked; `language` (a tag such as `de`) is that of the names in a graph of several.

    An entry whose content was edited in the file, under the id it was exported with, is edited in the KB, by `reviewer` (or the
    file's name where that is ""). It keeps its history and who decided on it, unless the file says another or nobody has.

    With `replace` the KB becomes what the file says: what is not in it goes (not from the history). Approved items go, or are
    approved no more, only where the caller says that they `may_lose`.

    Raises:
        KnowledgeError: the file cannot be read, or entries in it cannot be used; all of them are named, none imported. With
            `replace`: its format does not hold everything, or approved items would be lost.
    """
    found, graph = _read(path, form, status, reviewer, encoding, language)
    name = format_of(path, form)
    lossless = FORMATS[name].lossless
    if replace and not FORMATS[name].is_whole:
        full = ", ".join(key for key, one in FORMATS.items() if one.is_whole)
        raise KnowledgeError(f"{path}: {name} does not hold all of a base, so none can be replaced by it ({full} do)")
    editor = reviewer or path.name
    try:
        with kb.writing(editor, "replace" if replace else "import", why or f"from {path.name}") as connection:
            brought = (_replace if replace else bring_in)(connection, found, editor, lossless)
            said = graph_exchange.bring_in(connection, graph, editor, replace) if FORMATS[name].is_whole else ()
            notes = (*brought.notes, *_unsaid(brought.changed))
            done = Imported(brought.counts, brought.changed, tuple(said), notes, brought.waiting)
            if dry_run:
                raise DryRun
            if replace and not may_lose:
                _refuse_loss(path, brought.changed)
    except DryRun:
        pass
    return done


def _refuse_loss(path: Path, changed: Sequence[Difference]) -> None:
    """Nothing approved goes unless somebody has said so."""
    lost = [
        one.before
        for one in changed
        if one.before is not None
        and one.before.status is Status.APPROVED
        and (one.after is None or one.after.status is not Status.APPROVED)
    ]
    if lost:
        some = ", ".join(entry.item_id[:8] for entry in lost[:5]) + (" ..." if len(lost) > 5 else "")
        raise KnowledgeError(
            f"{path}: replacing the base by it would lose {len(lost)} approved items ({some}); nothing was changed. Look at "
            "them by --dry-run, and say --yes where that is meant"
        )


def read_file(
    path: Path, form: str = "", *, status: Status = Status.PROPOSED, reviewer: str = "", language: str = ENGLISH
) -> list[FileEntry]:
    """The entries of a file, checked; `language` is that of the names in a graph of several.

    Raises:
        KnowledgeError: not of its format, or bad entries: each named by its place in the file and key.
    """
    return list(_read(path, form, status, reviewer, language=language)[0])


def fingerprint(path: Path) -> str:
    """Hash of what a file says, independent of its path: of its bytes, or of the files of skills in a folder.

    Raises:
        DataError: it cannot be read.
        KnowledgeError: of a folder: see `read_file`.
    """
    return skills.fingerprint(path) if skills.is_skill(path) else file_hash(path)


def _read(
    path: Path, form: str, status: Status, reviewer: str, encoding: str = "", language: str = ENGLISH
) -> tuple[Given, Graph]:
    if not _LANGUAGE.fullmatch(language):
        raise KnowledgeError(f"the language {printable(language)!r} is no tag such as en, de or pt-BR")
    name = format_of(path, form)
    read = FORMATS[name].read
    if read is None:
        hint = "; what documents state is read by nesycd kb read-documents" if name == "markdown" else ""
        raise KnowledgeError(
            f"{path}: {name} is only written, not read ({', '.join(k for k in FORMATS if FORMATS[k].read)}){hint}"
        )
    default, lossless = (status, reviewer), FORMATS[name].lossless

    def usable(found: Iterable[Row]) -> Iterator[FileEntry]:
        return read_rows((row for row in found if row.part == "entries"), str(path), path.name, default)

    if FORMATS[name].has_lines:
        return Given(lambda: usable(read(_lines(path, encoding), str(path))), lossless=lossless, keeps=False), Graph()
    if FORMATS[name].is_folder:
        found = list(read(path))
    else:
        data = _bytes(path)
        content = data if FORMATS[name].is_binary else _text(data, path, encoding)
        found = list(read(content, str(path), *([language] if FORMATS[name].has_languages else [])))
    given = Given(lambda: usable(found), lossless=lossless, keeps=True)
    return given, graph_exchange.read((row for row in found if row.part != "entries"), str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror}") from None


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file with their ends, without a byte order mark."""
    try:
        with path.open("rb") as head:
            used = encoding or encoding_of(head.read(4))
        with path.open(encoding=used, newline="") as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix("\ufeff")
    except (OSError, LookupError, ValueError):
        _text(_bytes(path), path, encoding)  # says what is wrong, and where
        raise


def _text(data: bytes, path: Path, encoding: str) -> str:
    """The text of a file; bytes that are none are told with their line, and how that reads in the likeliest encoding."""
    try:
        return decoded(data, encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        told = f"{path}: line {before + 1}: is not {(encoding or error.encoding).upper()} text (byte {error.start})"
        if encoding or error.encoding != "utf-8":
            raise KnowledgeError(told) from None
        line = printable(error.object.split(b"\n")[before].decode(WINDOWS, errors="replace").strip())[:_SHOWN]
        raise KnowledgeError(
            f"{told}; save it as UTF-8, or import it with --encoding {WINDOWS} where this line should read: {line}"
        ) from None
    except (LookupError, ValueError):
        raise KnowledgeError(
            f"the encoding {printable(encoding)!r} is not known, such as {WINDOWS} or utf-16"
        ) from None


def _replace(connection: Connection, found: Iterable[FileEntry], editor: str, lossless: bool) -> Brought:
    """Make the entries what the file says. Each keeps its history: it is found by its content, or by the id it is given."""
    before = rows.load(connection)
    united: dict[str, Entry] = {}
    ids: dict[str, str] = {}
    for one in found:
        key = item_key(one.entry.item)
        entry = one.entry.model_copy(update={"item": tidy(one.entry.item)})
        united[key] = unite(united[key], entry) if key in united else entry
        ids.setdefault(key, one.id)
    by_key = rows.uids_by_key(connection, list(united))
    by_id = rows.uids_by_id(connection, sorted(item_id for item_id in ids.values() if ID.fullmatch(item_id)))
    wanted: dict[str, Entry | None] = {}
    for key, entry in united.items():
        named = by_id.get(ids[key], "")
        # Another entry of the file may be the one that is named: then this one is new.
        free = named and named not in wanted and named not in by_key.values()
        wanted[by_key.get(key) or (named if free else uuid.uuid4().hex)] = entry
    wanted.update((uid, None) for uid in before if uid not in wanted)
    versions.put(connection, before, wanted, editor, action="replace")
    after = rows.load(connection)
    added = sum(uid not in before for uid in after)
    same = sum(before.get(uid) == entry for uid, entry in after.items())
    waiting = sum(uid not in before and entry.status is Status.PROPOSED for uid, entry in after.items())
    return Brought(AddCounts(added, len(after) - added - same, same), differences(before, after), waiting, [])


def _unsaid(changed: Iterable[Difference]) -> Iterator[str]:
    """Facts whose text or triple was changed without the other."""
    for one in changed:
        if one.before is not None and one.after is not None:
            new = one.after.item
            if parts := [repr(getattr(new, part)) for part in left_behind(one.before.item, new)]:
                yield f"the text of {new.id[:8]} does not say {' and '.join(parts)}; the student reads only the text"
