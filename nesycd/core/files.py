"""Reading users' files, with file and line in every error.

Also shared by readers: suggesting the nearest known key, and the key by which equal questions are recognised.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nesycd.core.errors import DataError
from nesycd.core.records import content_hash


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """` (did you mean 'question'?)` for the nearest known key, or the list of all where none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(known)})"


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file (`.gz` too), each with its place as `file:line`.

    Blank lines and a byte order mark are skipped.

    Raises:
        DataError: no such file, not UTF-8, damaged gzip, a line that is not a JSON object, or half a character in one.
    """
    where = str(path)
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as file
        ):
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                if line.strip():
                    row = _loads(line)
                    if not isinstance(row, dict):
                        raise DataError(f"{where}: a JSON object is needed, but this is a {type(row).__name__}")
                    yield where, row
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON: {error.msg} at column {error.colno}") from None
    except UnicodeDecodeError:
        raise DataError(f"{where}: not valid UTF-8 text at or after this line") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: cannot be read: {error}") from None
    except zlib.error:
        raise DataError(f"{where}: the gzip file is damaged; copy it again") from None
    except EOFError:
        raise DataError(f"{where}: the gzip file ends too early; copy it again") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


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


def _loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, a number of thousands of digits, or an escaped lone surrogate (half a character), which UTF-8
            cannot encode.
        RecursionError: thousands of nested brackets.
    """
    content = json.loads(text)
    if "\\u" in text and (half := re.search(r"[\ud800-\udfff]", json.dumps(content, ensure_ascii=False))):
        raise ValueError(f"\\u{ord(half[0]):x} is half a character; take it out")
    return content


def read_text(path: Path) -> str:
    """The content of a text file.

    Raises:
        DataError: no such file or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not valid UTF-8 text") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


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
