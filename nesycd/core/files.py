"""Reading users' files, with file and line in every error: texts, JSON, and JSONL of a known shape.

Text is UTF-8, or UTF-16 or UTF-32 where the first bytes show it. Other encodings cannot be told from one another by their
bytes, so they are refused rather than guessed.

Also shared by readers: suggesting the nearest known key, and the key by which equal questions are recognised.
"""

from __future__ import annotations

import codecs
import difflib
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from nesycd.core.errors import DataError, NesycdError
from nesycd.core.records import content_hash

ZERO = "has a zero byte: this is no text file, or UTF-16 without a byte order mark; save it as UTF-8"

WINDOWS = "windows-1252"
"""What spreadsheets and editors on Western Windows write where nobody asks for UTF-8."""


class NotText(DataError):
    """Bytes that are no text in the encoding in which they were read."""


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """` (did you mean 'question'?)` for the nearest known key, or the list of all where none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(known)})"


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file (`.gz` too), each with its place as `file:line`; blank lines are skipped.

    For files of a known shape. Users' own files, whose shape is theirs, are read by `core.row_files`.

    Raises:
        DataError: see `text_lines`; a line that is not a JSON object, or half a character in one.
    """
    for number, line in text_lines(path):
        if line.strip():
            yield (where := f"{path}:{number}"), json_object(line, where)


def json_object(text: str, where: str, **hooks: Any) -> dict[str, Any]:
    """The JSON object of one line; `hooks` are those of `json.loads`.

    Raises:
        DataError: not JSON, or not an object; it begins with `where`.
    """
    try:
        value = _loads(text, **hooks)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{where}: a JSON object is needed, but this is a {type(value).__name__}")
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs: an `object_pairs_hook` of `json.loads`, which by itself keeps the last of several values unsaid.

    Raises:
        ValueError: a key stands twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:40]!r} stands twice")
    return made


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: no such file, not JSON, or half a character in it.
    """
    try:
        return _loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _loads(text: str, **hooks: Any) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, a number of thousands of digits, or an escaped lone surrogate (half a character), which UTF-8
            cannot encode.
        RecursionError: thousands of nested brackets.
    """
    content = json.loads(text, **hooks)
    refuse_half_characters(text, content)
    return content


def refuse_half_characters(text: str, content: Any) -> None:
    """Refuse the content of a JSON text with an escaped lone surrogate.

    Raises:
        ValueError: it has one.
    """
    if "\\u" in text and (half := re.search(r"[\ud800-\udfff]", json.dumps(content, ensure_ascii=False))):
        raise ValueError(f"\\u{ord(half[0]):x} is half a character; take it out")


def read_text(path: Path, error: type[NesycdError] = DataError) -> str:
    """The content of a text file in UTF-8, or in UTF-16 or UTF-32; without its byte order mark, lines end in a line feed.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        NesycdError: (`error`) no such file, or another encoding.
    """
    try:
        content = path.read_bytes()
        text = decoded(content)
    except UnicodeDecodeError as wrong:
        line = wrong.object.count(b"\n", 0, wrong.start) + 1
        raise error(f"{not_text(f'{path}:{line}', wrong, encoding_of(content))}; save it as UTF-8") from None
    except OSError as wrong:
        raise error(f"{path}: cannot be read: {wrong.strerror or wrong}") from None
    if "\0" in text:
        raise error(f"{path}:{text.count(chr(10), 0, text.index(chr(0))) + 1}: {ZERO}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: Path, encoding: str = "") -> Iterator[tuple[int, str]]:
    """The lines of a text file (gzip too) with their ends, numbered from 1. Byte order marks are taken off.

    Args:
        path: the file.
        encoding: of the text; "": see `encoding_of`.

    Raises:
        NotText: bytes that are no text in this encoding.
        DataError: no such file, damaged gzip, or zero bytes.
    """
    place = str(path)
    try:
        with open_bytes(path) as file:
            encoding = codecs.lookup(encoding or encoding_of(file.peek(4))).name
            place = f"{path}:1"
            if encoding.startswith("utf-8"):
                encoding = "utf-8-sig"  # on each line, since files that were put together have marks in the middle
            elif "a".encode(encoding) != b"a":
                with io.TextIOWrapper(file, encoding, newline="") as text:
                    for number, line in enumerate(text, 1):
                        yield number, line
                        place = f"{path}:{number + 1}"
                return
            for number, raw in enumerate(file, 1):
                place = f"{path}:{number}"
                if b"\0" in raw:
                    raise DataError(f"{place}: {ZERO}")
                yield number, raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotText(f"{not_text(place, error, encoding)}; save it as UTF-8") from None
    except zlib.error:
        raise DataError(f"{place}: the gzip file is damaged; copy it again") from None
    except EOFError:
        raise DataError(f"{place}: the gzip file ends too early; copy it again") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def open_bytes(path: Path) -> io.BufferedReader:
    """A file's bytes, those in a gzip file unpacked.

    Raises:
        OSError: it cannot be read.
    """
    file = path.open("rb")
    if file.peek(2)[:2] != b"\x1f\x8b" and path.suffix != ".gz":
        return file
    file.close()
    return cast(io.BufferedReader, gzip.open(path))  # it has all methods used here


def decoded(content: bytes, encoding: str = "") -> str:
    """The text of a file's bytes, without its byte order mark; line ends stay.

    Args:
        content: all bytes.
        encoding: a Python name; "": see `encoding_of`.

    Raises:
        UnicodeDecodeError: bytes that are no text in this encoding.
        LookupError, ValueError: Python knows no such encoding.
    """
    return content.decode(encoding or encoding_of(content)).removeprefix("\ufeff")


def encoding_of(content: bytes) -> str:
    """The encoding that a text's first bytes show, by a byte order mark or the zero bytes of UTF-16 and UTF-32; else UTF-8."""
    return json.detect_encoding(content)


def encoding_name(encoding: str) -> str:
    """What users call an encoding, such as `UTF-16`."""
    name = codecs.lookup(encoding).name
    return name.removesuffix("-sig").upper() if name.startswith("utf") else name


def not_text(where: str, error: UnicodeDecodeError, encoding: str) -> str:
    """What is wrong with bytes that are no text in an encoding, and how they read in the one that Windows writes most."""
    name = encoding_name(encoding)
    near = error.object[max(0, error.start - 12) : error.end + 12].decode(WINDOWS, "replace")
    reading = f" (in Windows-1252 it is {near!r})" if name == "UTF-8" else ""
    return f"{where}: not valid {name} text: byte 0x{error.object[error.start]:02x}{reading}"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes: represents a file in fingerprints, independent of path and time.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def squeeze(text: str) -> str:
    """The text with every run of white space as one blank, for comparisons."""
    return " ".join(text.split())


def question_key(task: str, question: str, options: Sequence[str] = ()) -> str:
    """Hash of a question's task, text and options, white space squeezed: equal for equal questions."""
    return content_hash([task, squeeze(question), [squeeze(option) for option in options]])
