"""CLUTRR's rationales as programs: the story's relations and the compositions that are needed as dictionaries, then look-ups.

What is converted is the words of a rationale, not the gold derivation, so that a teacher's rationales give no more than they say.
"""

from __future__ import annotations

import re
from string import ascii_lowercase

from nesycd.core.text import sentences

_PERSON = r"([^\W\d_][\w-]*)"
_TOLD = re.compile(rf"The ([\w-]+) of {_PERSON} is {_PERSON}\.")
_SO = re.compile(rf"So the ([\w-]+) of {_PERSON} is {_PERSON}: the ([\w-]+) of the ([\w-]+)\.")


def program_of(rationale: str) -> str:
    """The program that a rationale becomes; "" where a step of it does not rest on what was said before.

    Example:
        >>> told = "The son of Ann is Ben. The wife of Ben is Eve."
        >>> print(program_of(f"{told} So the daughter-in-law of Ann is Eve: the wife of the son."))
        kin = {("Ann", "Ben"): "son", ("Ben", "Eve"): "wife"}
        rules = {("son", "wife"): "daughter-in-law"}
        a = rules[kin["Ann", "Ben"], kin["Ben", "Eve"]]
        print(a)
    """
    said: dict[tuple[str, str], str] = {}
    written: dict[tuple[str, str], str] = {}
    kin, rules, lines = list[str](), dict[str, None](), list[str]()
    for sentence in sentences(rationale):
        if (told := _TOLD.fullmatch(sentence)) is not None:
            relation, one, other = told.groups()
            if (one, other) not in said:
                said[one, other], written[one, other] = relation, f'kin["{one}", "{other}"]'
                kin.append(f'("{one}", "{other}"): "{relation}"')
        elif (so := _SO.fullmatch(sentence)) is not None:
            relation, one, other, second, first = so.groups()
            by = next((b for a, b in said if a == one and said[a, b] == first and said.get((b, other)) == second), "")
            if not by or len(lines) == len(ascii_lowercase):
                return ""
            name = ascii_lowercase[len(lines)]
            rules[f'("{first}", "{second}"): "{relation}"'] = None
            lines.append(f"{name} = rules[{written[one, by]}, {written[by, other]}]")
            said[one, other], written[one, other] = relation, name
    if not lines:
        return ""
    return "\n".join((f"kin = {{{', '.join(kin)}}}", f"rules = {{{', '.join(rules)}}}", *lines, f"print({name})"))
