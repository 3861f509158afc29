"""When two texts count as equal, and how stored text is shown without harm. Knows strings only, no items."""

from __future__ import annotations

import unicodedata


def normal(text: str) -> str:
    """`text` as it is compared: compatible Unicode forms united, case folded, runs of white space one blank."""
    if text.isascii():  # the same, in a quarter of the time
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def is_visible(char: str) -> bool:
    """Whether a terminal shows a character as one: no control, format, surrogate, private or unassigned one."""
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""`text` with control and direction-changing characters as escapes (`\x1b`), so that a terminal obeys none.

    Item texts come from models and others' files; rich markup in them is the caller's to avoid (use `rich.text.Text`).
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
