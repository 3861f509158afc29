"""Programs that students write: what they print, and that hostile ones neither hang nor reach anything."""

from __future__ import annotations

import sys
import time

import pytest

from nesycd.calls import as_read
from nesycd.calls.programs import Programs, Ran, Sandbox, fenced
from nesycd.core.answers import Call
from nesycd.core.errors import ConfigError

pytest.importorskip("pydantic_monty")


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("a = 4 * 6\nprint(a + 5)", "29"),
        ('kin = {("Ann", "Bo"): "son"}\nrules = {("son", "wife"): "daughter-in-law"}\nprint(rules[kin["Ann", "Bo"], "wife"])',
         "daughter-in-law"),
        ("def total(n):\n    return sum(i for i in range(n) if i % 2)\nprint(total(10))", "25"),
        ("words = sorted('the quick fox'.split(), key=len)\nprint(' '.join(words).upper())", "THE FOX QUICK"),
        ("print('working')\n\nprint(7)\n\n", "7"),
        ("print(48 / 2)", "24"),
        ("print(0.1 + 0.2)", "0.3"),
        ("print(2 / 3)", "0.666667"),
        ("print(-0.5)", "-0.5"),
        ("print(23, 'November')", "23 November"),
        ("print(True and not False)", "True"),
        ("print('\\x1b[31mred')", "\\x1b[31mred"),
    ],
)  # fmt: skip
def test_what_a_program_prints_last_is_its_answer(sandbox: Sandbox, program: str, answer: str) -> None:
    assert sandbox.run(program) == Ran(answer)


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ("1 + 1", "it prints nothing"),
        ("print()", "it prints nothing"),
        ("print(b)", "NameError: name 'b' is not defined"),
        ("print(1 / 0)", "ZeroDivisionError: division by zero"),
        ("print({'a': 1}['b'])", "KeyError: "),
        ("x = ", "SyntaxError: "),
        ("x = " + "(" * 3000 + "1" + ")" * 3000, "SyntaxError: "),
        ("\ud800", "SyntaxError: "),
        ("print('a' * 3000)", "it prints more than 2,000 characters"),
        ("print(1)\n" * 2000, "it has 18,000 characters, at most 8,000 are run"),
        # What is too large.
        ("print(9**9**9)", "MemoryError: memory limit exceeded"),
        ("print('a' * 10**12)", "MemoryError: memory limit exceeded"),
        ("print([0] * 10**9)", "MemoryError: memory limit exceeded"),
        ("print(f'{1:>1000000000}')", "MemoryError: memory limit exceeded"),
        ("print('%1000000000d' % 1)", "MemoryError: memory limit exceeded"),
        ("print(int('9' * 7000))", "ValueError: "),
        ("def f(n):\n    return f(n + 1)\nprint(f(0))", "RecursionError: "),
        # What is out of reach.
        ("print(().__class__.__bases__[0].__subclasses__())", "AttributeError: "),
        ("print('{0.__class__.__mro__}'.format(1))", "AttributeError: "),
        ("print(open('/etc/passwd').read())", "PermissionError: "),
        ("import os\nprint(os.environ)", "RuntimeError: "),
        ("import os\nprint(os.listdir('/'))", "PermissionError: "),
        ("import subprocess\nprint(subprocess.run('ls'))", "ModuleNotFoundError: "),
        ("import socket", "ModuleNotFoundError: "),
        ("import nesycd", "ModuleNotFoundError: "),
        ("print(input())", "NameError: "),
        ("raise SystemExit('x')", "SystemExit: x"),
    ],
)
def test_every_error_is_no_answer_with_its_reason(sandbox: Sandbox, program: str, failure: str) -> None:
    ran = sandbox.run(program)
    assert ran.answer == "" and ran.failure.startswith(failure)
    assert "\n" not in ran.failure and len(ran.failure) <= 201


def test_what_does_not_end_is_ended(sandbox: Sandbox) -> None:
    stubborn = (
        "while True:\n    try:\n        while True:\n            print('on')\n    except BaseException:\n        pass"
    )
    for program in ("while True:\n    pass", stubborn):
        started = time.monotonic()
        assert sandbox.run(program) == Ran(failure="it takes longer than 1 s")
        assert time.monotonic() - started < 20
    assert sandbox.run("print(1)") == Ran("1"), "the next one runs"


def test_programs_are_repeatable_and_know_nothing_of_each_other(sandbox: Sandbox) -> None:
    drawn = "import random\nprint(random.random())"
    assert sandbox.run(drawn) == sandbox.run(drawn) == Sandbox().run(drawn) and sandbox.run(drawn).answer
    assert sandbox.run("import datetime\nprint(datetime.date.today())") == Ran("2000-01-01")
    assert sandbox.run("import time\ntime.sleep(500)\nprint(1)") == Ran("1"), "nobody waits"
    assert sandbox.run("x = 1\nprint(x)") == Ran("1")
    assert sandbox.run("print(x)").failure == "NameError: name 'x' is not defined"


def test_without_the_interpreter_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(ConfigError, match=r"pip install 'nesycd\[programs\]'"):
        Sandbox().run("print(1)")


def test_a_program_is_run_where_it_ends_and_once() -> None:
    tools = Programs()
    written = fenced("a = 4 * 6\nprint(a)")
    for begun in ("", "```", "```python\n", "```python\na = 4 * 6\n", "no program", "a = 1 ```"):
        assert tools.supply(begun, "", ()) is None
    made = tools.supply(written, "", ())
    assert made is not None and made.text == "\nTherefore, the answer is 24."
    assert (made.call.name, made.call.asked, made.call.found, made.call.kind) == ("program", written, "24", "value")
    assert tools.supply(f"{written}\n{written}", "", (made.call,)) is None
    assert tools.supply(f"First I think.\n{written}", "", ()) is not None
    assert tools.ends == ("```",) and not tools.offers("?") and tools.agrees("?", (made.call,))


def test_only_what_a_program_printed_is_graded() -> None:
    """A student that goes on after its program failed has no answer, whatever it writes."""
    tools, good, bad = Programs(), fenced("print(24)"), fenced("print(b)")
    made, failed = tools.supply(good, "", ()), tools.supply(bad, "", ())
    assert made is not None and failed is not None
    assert failed.text == "\n(no answer: NameError: name 'b' is not defined)" and failed.call.kind == "note"
    assert as_read(f"{good}{made.text} Therefore, the answer is 7.", [made.call]) == "Therefore, the answer is 24."
    assert as_read(f"{bad}{failed.text} Therefore, the answer is 7.", [failed.call]) == ""
    summed = Call(name="sum", asked="1 + 1 =", found="2")
    assert as_read("1 + 1 = 2", [summed]) == "1 + 1 = 2"


@pytest.mark.slow
def test_a_real_tokenizer_ends_a_program_in_a_token_of_its_own() -> None:
    transformers = pytest.importorskip("transformers")
    from nesycd.core.protocols import Prompt
    from nesycd.students import embedded
    from nesycd.students.supplying import Supplying

    supplying = Supplying(transformers.AutoTokenizer.from_pretrained(embedded.fetch()))
    row, ids = supplying.row(Prompt("k", "?", Programs())), supplying.ids(fenced("a = 4 * 6\nprint(a)"))
    assert row is not None and not any(row(ids[:size]) for size in range(1, len(ids)))
    assert supplying.tokenizer.decode(row(ids)) == "\nTherefore, the answer is 24." and row.trace[0].found == "24"
