"""Normalising text for comparison, and escaping stored text for terminals."""

from __future__ import annotations

import re
import unicodedata

_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|$)(?=[^a-z]|$)|\n+")


def normal(text: str) -> str:
    """`text` as it is compared: compatible Unicode forms united, case folded, runs of white space one blank."""
    if text.isascii():  # the same, in a quarter of the time
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def shortened(text: str, most: int = 200) -> str:
    """`text`, cut to `most` characters, for messages that quote what was given."""
    return text if len(text) <= most else f"{text[:most]}…"


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part.strip() for part in _SENTENCE.split(text) if part and part.strip()]


def is_visible(char: str) -> bool:
    """Whether a terminal shows a character as one: no control, format, surrogate, private or unassigned one."""
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def is_blank(text: str) -> bool:
    """Whether nobody sees anything of a text: it is empty, or has blanks, control and zero-width characters only."""
    return not any(is_visible(char) and not char.isspace() for char in text)


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""`text` with control and direction-changing characters as escapes (`\x1b`), so that a terminal does not interpret them.

    Item texts come from models and files. Rich markup is not escaped; callers use `rich.text.Text`.
    `keep_lines` leaves line feeds as they are.
    """

    def shown(char: str) -> str:
        if char == "\n" and keep_lines:
            return char
        if is_visible(char):
            return char
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return text if text.isascii() and text.isprintable() else "".join(map(shown, text))
