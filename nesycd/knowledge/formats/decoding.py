"""The text of a file's bytes: UTF-8, UTF-16 and UTF-32 with a byte order mark or UTF-8 without, or the encoding that is named.

Nothing is guessed that could be wrong unseen: bytes that are no UTF-8 are refused, with the likely cause.
"""

from __future__ import annotations

import codecs

from nesycd.core.errors import KnowledgeError
from nesycd.core.text import printable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_USUAL = "windows-1252"
"""What spreadsheets and editors on Western Windows write where nobody asks for UTF-8."""
_SHOWN = 60


def decoded(data: bytes, place: str, encoding: str = "") -> str:
    """The text, without a byte order mark.

    Args:
        data: all bytes of the file.
        place: the file, for messages.
        encoding: one that Python knows, such as `windows-1252`; what the bytes say where it is not given.

    Raises:
        KnowledgeError: an unknown encoding, or bytes that are not in it; line and likely cause are named.
    """
    name = encoding or _marked(data)
    try:
        return data.decode(name).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].count(b"\n")
        told = f"{place}: line {before + 1}: is not {name.upper()} text (byte {error.start})"
    except (LookupError, ValueError):
        raise KnowledgeError(f"the encoding {printable(encoding)!r} is not known, such as {_USUAL} or utf-16") from None
    if name != "utf-8" or encoding:
        raise KnowledgeError(told)
    line = data.splitlines()[before] if before < len(data.splitlines()) else b""
    shown = printable(line.decode(_USUAL, errors="replace").strip())[:_SHOWN]
    raise KnowledgeError(
        f"{told}; save it as UTF-8, or import it with --encoding {_USUAL} where this line should read: {shown}"
    )


def _marked(data: bytes) -> str:
    """The encoding that the first bytes show."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    # ASCII characters in UTF-16 have a zero as every second byte.
    start = data[:1000]
    low, high = start[::2].count(0), start[1::2].count(0)
    if len(start) > 3 and max(low, high) > 0.4 * len(start) and min(low, high) == 0:
        return "utf-16-le" if high else "utf-16-be"
    return "utf-8"
