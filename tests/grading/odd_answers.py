"""Odd answers, made up for these tests: (form, gold, options, response, right or wrong, how it was found).

`R` and `W` say right and wrong for an answer that stands in a closing sentence; other sources are named.
"""

from __future__ import annotations

from nesycd.grading import Form

Case = tuple[Form, str, tuple[str, ...], str, bool, str]

FISH = ("the perch", "the pike", "the carp", "both of them")
NUMBERS = ("12", "12.5", "-12", "1,200")
DATES = ("03/04/1999", "04/03/1999", "03/04/2000", "12/31/1999")
SEVERAL = ("iron", "tin", "oak", "zinc")
FIVE = ("yes", "no", "maybe")
CASED = ("Bb", "BB", "bb")


def said(form: Form, gold: str, options: tuple[str, ...], right: list[str], wrong: list[str]) -> list[Case]:
    """Cases of answers that stand in the closing sentence."""
    good = [(form, gold, options, f"Some steps. Therefore, the answer is {text}", True, "closing") for text in right]
    bad = [(form, gold, options, f"Some steps. Therefore, the answer is {text}", False, "closing") for text in wrong]
    return good + bad


NUMBER_CASES = [
    *said("plain", "1200", (), ["1200.", "1,200", "1200.00", "$1,200.", "1200 dollars", "1200 square feet", "+1200",
                                "**1200**", "$1200$", r"\(1200\)", r"$\boxed{1200}$", r"1{,}200", r"1,\!200", r"1\,200",
                                "`1200`.", "x = 1200", "1.2e3", r"1.2 \times 10^3", r"1.2 \cdot 10^{3}", "€1200",
                                r"\$1200", "1200 m^2", "1200 cm³", "1200°", r"1200^\circ", "1200!", "\"1200\"",
                                r"1200 \text{ kg}", r"1200\mathrm{kg}", "1200 miles per hour", "1200 %", "2400/2",
                                r"\(1200\) dollars", r"1200\ \text{kg}", r"1200\,\mathrm{km}", "1200。",
                                "1200 times", "$1200 an hour", "1200 dollars a week", "$1200/hour", "1200 p.m."],
          ["12000.", "120.0", "1 200 300", "1200 or 1300", "about 1200", "between 1200 and 1300", "not 1200", "1.200.0",
           "one thousand", "1200 dozen", "-1200", "1200 x 2", "1100 + 100", "600 * 2 = 1200", "1200 thousand", "1,20",
           "1200²", "1200½", "1200π", "1200x", "$1200k", "1200 millions", "1200 sixths", "1200 squared",
           "1200 times 3", "1200 times seven", "1200 a dozen", "1200 is wrong", "1200 feet below zero", "1200/dozen",
           "1200 more than before", "unknown", r"\(12\)\(00\)", "1200. or 1300", r"\(1200\) or \(1300\)",
           "at least 1200", "1200/0", "12e99", "1200 1200", "<1200"]),
    *said("plain", "0.5", (), ["1/2", ".5", "0.50", r"\frac{1}{2}", r"\dfrac12", r"\tfrac{1}{2}.", "2/4", "0.5 cups"],
          ["0.51", "1/3", "5", "half", "50%", "1 / 2 / 2", r"\frac{1}{0}"]),
    *said("plain", "2.5", (), ["2 1/2", r"2\frac{1}{2}", "5/2", "2.5 hours"], ["2 1", "21/2", "2:30"]),
    *said("plain", "50%", (), ["50%", "50 percent", "50", r"50\%"], ["0.5", "5%", "50% or more"]),
    *said("plain", "-3", (), ["-3", "−3", "-3.0", "-$3"], ["3", "minus three", "–"]),
    *said("plain", "6 feet", (), ["6 feet", "6.0 Feet", "6 FEET."], ["6", "6 inches", "6 feet 2"]),
    *said("plain", "$5", (), ["$5", "5", "5 $", "$5.00"], ["€5", "$50", "5 cents too many for her"]),
    *said("number", "4.33", (), ["4.33", "13/3", "4.3333", "4.33 inches", "4.334"], ["4.3", "4.34", "4", "4.336", "13"]),
    *said("number", "0.25", (), ["1/4", ".25"], ["0.254", "0.3"]),
    *said("number", "None", (), ["None.", "unknown", "cannot be determined", "that it cannot be determined",
                                 "not possible to determine",
                                 "It cannot be determined", "impossible to say", "none"],
          ["0", "none of your business", "17", "nobody knows", "determined"]),
]  # fmt: skip

WORD_CASES = [
    *said("plain", "yes", (), ["yes", "Yes.", "YES!", "yes, it does", "**Yes**", "yes - they meet", "yes — they meet",
                                  "yes (they meet)"],
          ["no", "not yes", "yes and no", "yes or no", "yes/no", "yesterday", "true", "maybe", "yes, no", "unclear"]),
    *said("plain", "invalid", (), ["invalid", "Invalid.", "\"invalid\"", "invalid, since it does not follow"],
          ["valid", "not valid", "valid or invalid", "not invalid", "invalidated", "in valid", "neither"]),
    *said("plain", "True", (), ["True", "true.", "TRUE"], ["False", "not True", "truly", "1", "yes"]),
    *said("plain", "Anna Karenina", (), ["Anna Karenina", "anna  karenina.", "\"Anna Karenina\""],
          ["Anna", "Karenina, Anna", "Anna Karenina or War and Peace", "the heroine"]),
]  # fmt: skip

OPTION_CASES = [
    *said("plain", "(B)", FISH, ["(B)", "B", "b.", "(b)", "option B", "Option (B)", "choice b", "[B]", "B)", "the pike",
                                 "The pike.", "(B) the pike", "B: the pike", "**(B)** the pike", "\"the pike\"", "$B$",
                                 r"\boxed{B}", r"\text{B}", r"\boxed{\text{(B)}}", "B, the pike", "B - the pike",
                                "(B) — the pike", "option B, the pike", "(B), since it has teeth.",
                                "B because it has teeth.", "option B since it has teeth", "B, because (A) has none"],
          ["(A)", "B, the carp", "B - C", "B -", "B. or C.", "B. and C.",
           "(B) or (C)", "(B) the carp", "B or C", "not (B)", "(E)", "pike", "a pike", "the", "both", "the perch",
           "neither", "2", "the second", "(A) and (B)", "between B and C", "BC", "Because it swims"]),
    *said("plain", "(A)", NUMBERS, ["(A)", "12", "12.0", "A"], ["12.5", "1200", "-12", "12 or 12.5", "13"]),
    *said("plain", "(B)", CASED, ["(B)", "BB"], ["Bb", "bb", "bB", "b b"]),
    *said("plain", "(C)", FIVE, ["maybe", "(C) maybe"], ["yes", "no", "may be not"]),
    *said("letters", "(A), (B)", SEVERAL, ["(A), (B)", "A and B", "AB", "(B) and (A)", "A, B", "(A)(B)", "iron and tin",
                                           "(A) & (B)", "iron, tin", "A; B"],
          ["(A)", "(A), (B), (C)", "(A) or (B)", "ABC", "iron", "(A) and oak", "iron and gold", "(A), (E)", "AA"]),
    *said("letters", "(C)", SEVERAL, ["(C)", "oak", "C"], ["(C), (D)", "CD", "oak and tin", "not oak"]),
]  # fmt: skip

LIST_CASES = [
    *said("words", "ash beech elm oak", (), ["ash beech elm oak", "ash, beech, elm, oak.", "Ash, beech, elm, and oak",
                                             "ash < beech < elm < oak", "[ash, beech, elm, oak]", "ash -> beech -> elm -> oak",
                                             "\"ash\", \"beech\", \"elm\", \"oak\"", "1. ash 2. beech 3. elm 4. oak",
                                             "ash; beech; elm; oak", ":\n1. ash\n2. beech\n3. elm\n4. oak",
                                             "\n- ash\n- beech\n- elm\n- oak\nDone.",
                                             ":**\n1. ash\n\n2. beech\n\n3. elm\n\n4. oak"],
          ["ash beech oak elm", "ash beech elm", "ash beech elm oak pine", "ash, beech", "beech ash elm oak",
           "ashbeech elm oak", "the list above", ":\n1. ash\n2. elm\n3. beech\n4. oak"]),
    *said("words", "and or", (), ["and or", "and, or"], ["or and", "or", "and and or"]),
    *said("brackets", "] ) >", (), ["] ) >", "])>", "] )>", "`] ) >`", "] ) >."],
          ["] >", "> ) ]", "] ) > >", "[ ( <", "] ) > and so on", "close all", "]"]),
    *said("brackets", "}", (), ["}", "} ."], ["{", "} }", ")"]),
]  # fmt: skip

DATE_CASES = [
    *said("date", "(A)", DATES, ["(A)", "03/04/1999", "March 4, 1999", "4 March 1999", "1999-03-04", "Mar. 4th, 1999",
                                 "the 4th of March 1999", "Thursday, March 4, 1999"],
          ["04/03/1999", "April 3, 1999", "March 4", "March 1999", "1999", "May 4, 1999", "(B)", "4/3/99"]),
    *said("date", "05/01/2021", (), ["05/01/2021", "5/1/2021", "May 1, 2021", "1 May 2021", "2021-05-01"],
          ["January 5, 2021", "05/01/2020", "May 2021", "Mai 1, 2021", "05/32/2021", "tomorrow", "May 1, 2021 or so"]),
]  # fmt: skip

MATH_CASES = [
    *said("math", r"\frac{1}{2}", (), ["1/2", "0.5", r"\frac12", r"$\dfrac{2}{4}$", r"\boxed{\frac{1}{2}}", "x = 1/2"],
          ["2", r"\frac{2}{1}", "1/2 or 1/3", "half of it", "about 0.5", "one of the two values, 1/2 being likely"]),
    *said("math", r"3\sqrt{2} + 2", (), [r"2 + 3\sqrt{2}", "2 + 3*sqrt(2)", r"$2+3\sqrt2$"],
          [r"3\sqrt{2}", r"2\sqrt{3} + 2", "6.2"]),
    *said("math", "(2,3)", (), ["(2, 3)", r"\left(2,3\right)"], ["(3,2)", "2", "[2,3)", "(2,3,4)"]),
    *said("math", r"(-\infty, 2]", (), [r"(-\infty,2]", "(-infinity, 2]"], [r"(-\infty,2)", "2", "[2, 3]"]),
    *said("math", "x^2 + 2x + 1", (), ["(x+1)^2", "1 + 2x + x^2"], ["(x-1)^2", "x^2", "2x^2 + 1"]),
    *said("math", r"17\text{ meters}", (), ["17", "17 meters", r"17 \text{ meters}"], ["17 feet", "18 meters"]),
    *said("math", r"\text{odd}", (), ["odd", r"\text{odd}", "Odd."], ["even", "1"]),
    *said("math", "12", (), ["12", "12.0", r"12^\circ", "y = 12", "12 eggs"],
          ["12 dozen", "12 or more", r"12 \text{ million}", "12 squared",
           "9^9^9^9", "2^{100000}", "1" * 400, "12x", "{{{{", "\\"]),
]  # fmt: skip

SOURCE_CASES: list[Case] = [
    ("plain", "18", (), "We add. So the answer is 18.", True, "closing"),
    ("plain", "18", (), "We add.\nThe final answer is: 18", True, "closing"),
    ("plain", "18", (), "The answer is 17. No: the answer is 18.", True, "closing"),
    ("plain", "18", (), "I think that the answer is 18", True, "answer_is"),
    ("plain", "18", (), "Which means my answer is 18.", True, "answer_is"),
    ("plain", "18", (), "The answer is 18. I am sure the answer is 17", False, "answer_is"),
    ("plain", "18", (), "9 + 9 = 18\n#### 18", True, "hashes"),
    ("plain", "18", (), "#### 17\n#### 18", True, "hashes"),
    ("plain", "18", (), "#### 18\nThe answer is 17.", False, "closing"),
    ("plain", "18", (), r"so we get \boxed{18}.", True, "boxed"),
    ("plain", "18", (), r"\boxed{18} then \boxed{17}", False, "boxed"),
    ("math", r"\frac{\sqrt{3}}{2}", (), r"Hence $\boxed{\frac{\sqrt{3}}{2}}$.", True, "boxed"),
    ("plain", "18", (), "9 + 9 = 18", False, "none"),
    ("plain", "18", (), "18", False, "none"),
    ("plain", "18", (), "Answer: 18", False, "none"),
    ("plain", "18", (), "", False, "none"),
    ("plain", "18", (), "The answer is", False, "none"),
    ("plain", "18", (), "The answer is 18. The answer is", False, "none"),
    ("plain", "18", (), "####", False, "none"),
    ("plain", "18", (), r"\boxed{}", False, "none"),
    ("plain", "(B)", FISH, "Of these, the pike is the largest.", False, "none"),
    ("plain", "(B)", FISH, "B", False, "none"),
    ("plain", "(B)", FISH, "#### B", True, "hashes"),
    ("plain", "(B)", FISH, r"\boxed{\text{B}}", True, "boxed"),
    ("plain", "(B)", FISH, "The answer is ? (B)?", False, "none"),
    ("plain", "yes", (), "Yes, they do.", False, "none"),
    ("words", "ash elm", (), "ash elm", False, "none"),
    ("words", "ash elm", (), "#### ash, elm", True, "hashes"),
    ("brackets", "] )", (), "] )", False, "none"),
    ("date", "05/01/2021", (), "It was May 1, 2021.", False, "none"),
    ("letters", "(A), (B)", SEVERAL, "A and B.", False, "none"),
]

CASES: list[Case] = [
    *NUMBER_CASES,
    *WORD_CASES,
    *OPTION_CASES,
    *LIST_CASES,
    *DATE_CASES,
    *MATH_CASES,
    *SOURCE_CASES,
]
