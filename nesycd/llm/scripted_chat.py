"""The scripted chat: gives prepared answers to requests. A fake for tests and docs, with neither network nor model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nesycd.core.records import content_hash
from nesycd.llm.chat import Completion, Request

Script = Mapping[str, str] | Callable[[Request], str | Completion]


class ScriptedChat:
    """Answers from a mapping by `Request.key`, or from a function of the request; keeps what it was asked in `asked`.

        >>> from nesycd.llm.chat import Message
        >>> chat = ScriptedChat({"q1": "Four."})
        >>> [answer] = chat.complete([Request("q1", (Message("user", "2 + 2?"),), max_tokens=8)])
        >>> answer.text, answer.prompt_tokens
        ('Four.', 3)

    What the mapping lacks is a completion that failed. Tokens are counted as words.

    Args:
        script: the answers; a function may return a `Completion` to tell of a failure.
        name: the chat's name in records.
        version: part of the fingerprint; change it when a function's answers change (functions cannot be hashed).
    """

    def __init__(self, script: Script, name: str = "scripted-chat", version: str = "1") -> None:
        self.name = name
        self.asked: list[Request] = []
        self._script = script
        self.fingerprint = content_hash(["scripted-chat/1", name, version, None if callable(script) else dict(script)])

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """The scripted answers, in order."""
        for request in requests:
            self.asked.append(request)
            yield self._answer(request)

    def forget(self, keys: Sequence[str]) -> None:
        """See `Chat.forget`: nothing is kept."""

    def _answer(self, request: Request) -> Completion:
        said = self._script(request) if callable(self._script) else self._script.get(request.key)
        if isinstance(said, Completion):
            return said
        if not said:
            return Completion(request.key, "", failure="not in the script" if said is None else "empty")
        return Completion(
            request.key,
            said,
            model=self.name,
            prompt_tokens=sum(len(message.content.split()) for message in request.messages),
            completion_tokens=len(said.split()),
        )
