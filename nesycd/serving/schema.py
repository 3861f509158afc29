"""What the OpenAI-compatible server takes and gives (Chat Completions, Completions, Models)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nesycd.core.answers import Call

MOST_TEXT = 100_000
"""Characters of a text, and of a question with its options."""
Text = Annotated[str, Field(max_length=MOST_TEXT)]


class Wishes(BaseModel):
    """What a request may ask for besides, as `nesycd` (`extra_body={"nesycd": ...}` of OpenAI's client)."""

    model_config = ConfigDict(extra="forbid")
    options: list[Text] = Field(default=[], max_length=26)
    """The choices of the question, without letters: 2 to 26."""
    task: Annotated[str, Field(max_length=200)] = ""
    """The benchmark's name for the question, for items and rules that belong to some tasks only."""
    footnote: bool | None = None
    """Whether the answer ends with what it used; None: as the server was started."""


class _Request(BaseModel):
    """What both kinds of request have. Sampling is taken and has no effect, since decoding is greedy."""

    model_config = ConfigDict(extra="ignore")
    model: Annotated[str, Field(min_length=1, max_length=300)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: Text | Annotated[list[Text], Field(max_length=4)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    n: Literal[1] | None = 1
    """Decoding is greedy, so there is one answer."""
    nesycd: Wishes | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Refuse what would have an effect and is not there, rather than ignore it."""
        if isinstance(given, dict):
            for key in ("tools", "functions", "logprobs", "top_logprobs", "echo", "suffix", "audio"):
                if given.get(key):
                    raise ValueError(f"{key}: this server does not do that; leave it out")
            form = given.get("response_format")
            if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
                raise ValueError("response_format: this server writes text only; leave it out")
        return given

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that end the answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(one for one in given if one)

    @property
    def limit(self) -> int | None:
        """Most tokens of the answer; None: the recipe's."""
        return self.max_tokens


class StreamOptions(BaseModel):
    """Of a stream."""

    include_usage: bool | None = False


class Part(BaseModel):
    """A part of a message's content."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | Annotated[list[Part], Field(max_length=100)] | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        return "\n".join(part.text for part in self.content) if isinstance(self.content, list) else self.content or ""


class ChatRequest(_Request):
    """`POST /v1/chat/completions`. The last message, which must be the user's, is the question."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @property
    def limit(self) -> int | None:
        """See `_Request`."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(_Request):
    """`POST /v1/completions`. Each prompt is a question."""

    prompt: Text | Annotated[list[Text], Field(min_length=1, max_length=64)]

    @property
    def prompts(self) -> list[str]:
        """All of them."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


_Request.model_rebuild()
ChatRequest.model_rebuild()
CompletionRequest.model_rebuild()


class ShownItem(BaseModel):
    """An item of knowledge that the student read."""

    id: str
    text: str
    why: str
    """Why it was retrieved."""


class Trace(BaseModel):
    """How an answer came about; the field `nesycd` of each answer."""

    method: str
    answer: str
    """What was extracted from the response; "" where no answer was found."""
    response: str
    """What the student wrote, look-ups included."""
    calls: list[Call]
    """What it looked up and computed, in order."""
    items: list[ShownItem]
    """What it read."""
    routed: bool
    """Whether knowledge was asked for."""
    reason: str
    draft: str | None
    """The closed-book answer, where the method starts with one."""
    knowledge_revision: int
    """The base's revision with which the question was answered."""
    notes: list[str]
    """What the client should know: such as a base that was edited since training, or messages that were not read."""


class Usage(BaseModel):
    """Tokens of all prompts and completions of an answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


Finish = Literal["stop", "length"]


class ChatChoice(BaseModel):
    """An answer."""

    index: int
    message: dict[str, str]
    finish_reason: Finish
    logprobs: None = None


class ChatCompletion(BaseModel):
    """Answer to a `ChatRequest`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    nesycd: Trace


class TextChoice(BaseModel):
    """An answer."""

    index: int
    text: str
    finish_reason: Finish
    logprobs: None = None
    nesycd: Trace


class Completion(BaseModel):
    """Answer to a `CompletionRequest`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


class Model(BaseModel):
    """A method that can be asked."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["nesycd"] = "nesycd"
    about: str


class Models(BaseModel):
    """Answer to `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorBody(BaseModel):
    """What went wrong, as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorAnswer(BaseModel):
    """Any refused request."""

    error: ErrorBody


class Health(BaseModel):
    """Answer to `GET /health`."""

    status: Literal["ok"] = "ok"
    questions: int
    """That wait or are being answered."""
    knowledge_revision: int
    knowledge_items: int
    note: str
    """What is to be said of the knowledge base, such as that it is not the one that the student was trained with."""
