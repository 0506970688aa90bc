"""The Python library `openai`."""

import asyncio

import openai
from cases import LONG, Cases, equal, png, raises
from openai_client import FORTY_TWO, City, client

cases = Cases("openai", openai.__version__)


def asks(text):
    return [{"role": "user", "content": text}]


def chat(headers, messages, **more):
    if isinstance(messages, str):
        messages = asks(messages)
    return client(headers).chat.completions.create(model="auto", messages=messages, **more)


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Get the {name} of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    for name in ["weather", "traffic"]
]


@cases.case("chat", "plain")
def _(headers, case):
    answer = chat(headers, f"{case} What is the answer?")
    equal(answer.choices[0].message.content, FORTY_TWO)
    equal(answer.choices[0].finish_reason, "stop")
    equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)


@cases.case("chat", "plain", streaming=True)
def _(headers, case):
    chunks = list(chat(headers, f"{case} What is the answer?", stream=True))
    equal(text_of(chunks), FORTY_TWO)
    equal(chunks[-1].choices[0].finish_reason, "stop")


@cases.case("chat", "usage hidden", streaming=True)
def _(headers, case):
    chunks = list(chat(headers, f"{case} [words 30]", stream=True))
    assert all(chunk.choices for chunk in chunks), "an event without choices"
    assert all(chunk.usage is None for chunk in chunks), "usage that was not asked for"


@cases.case("chat", "usage asked for", streaming=True)
def _(headers, case):
    chunks = list(chat(headers, f"{case} [words 30]", stream=True, stream_options={"include_usage": True}))
    equal([chunk.choices for chunk in chunks if chunk.usage], [[]])
    equal(chunks[-1].usage.completion_tokens, 50)


@cases.case("chat", "async")
def _(headers, case):
    async def play():
        async with client(headers, openai.AsyncOpenAI) as other:
            answer = await other.chat.completions.create(model="auto", messages=asks(case))
            equal(answer.choices[0].message.content, FORTY_TWO)

    asyncio.run(play())


@cases.case("chat", "async", streaming=True)
def _(headers, case):
    async def play():
        async with client(headers, openai.AsyncOpenAI) as other:
            stream = await other.chat.completions.create(model="auto", messages=asks(case), stream=True)
            equal(text_of([chunk async for chunk in stream]), FORTY_TWO)

    asyncio.run(play())


@cases.case("models", "list")
def _(headers, case):
    equal([model.id for model in client(headers).models.list()], ["gpt-5-mini", "gpt-5.1"])


@cases.case("chat", "parallel turns", budget="1")
def _(headers, case):
    async def play():
        async with client(headers, openai.AsyncOpenAI) as other:
            create = other.chat.completions.create
            turns = (create(model="auto", max_completion_tokens=4000, messages=asks(case)) for _ in range(4))
            answers = await asyncio.gather(*turns)
            equal([answer.choices[0].message.content for answer in answers], [FORTY_TWO] * 4)

    asyncio.run(play())


@cases.case("chat", "no limit")
def _(headers, case):
    answer = chat(headers, f"{case} [words 5000]")
    equal(len(answer.choices[0].message.content.split()), 5000)
    equal(answer.choices[0].finish_reason, "stop")


@cases.case("chat", "no limit", streaming=True)
def _(headers, case):
    chunks = list(chat(headers, f"{case} [words 5000]", stream=True))
    equal(len(text_of(chunks).split()), 5000)


@cases.case("chat", "no limit but less money", budget="3")
def _(headers, case):
    equal(len(chat(headers, f"{case} [words 2000]").choices[0].message.content.split()), 2000)


@cases.case("chat", "limit")
def _(headers, case):
    answer = chat(headers, f"{case} [words 500]", max_completion_tokens=100)
    equal((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 100))


@cases.case("chat", "limit", streaming=True)
def _(headers, case):
    chunks = list(chat(headers, f"{case} [words 500]", max_completion_tokens=100, stream=True))
    equal(chunks[-1].choices[0].finish_reason, "length")


@cases.case("chat", "tools")
def _(headers, case):
    messages = asks(f"{case} [call weather] [call traffic]")
    answer = chat(headers, messages, tools=TOOLS)
    calls = answer.choices[0].message.tool_calls
    equal([call.function.name for call in calls], ["weather", "traffic"])
    messages.append(answer.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} fine"} for call in calls]
    answer = chat(headers, messages, tools=TOOLS)
    equal(answer.choices[0].message.content, "The tools say: weather fine, traffic fine.")


@cases.case("chat", "tools", streaming=True)
def _(headers, case):
    messages = asks(f"{case} [call weather] [call traffic]")
    completions = client(headers).chat.completions
    with completions.stream(model="auto", messages=messages, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    equal(message.tool_calls[0].function.parsed_arguments, {"city": "some text", "days": 7})
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed": True, "tool_calls": {"__all__": {
        "index": True, "function": {"parsed_arguments"}}}}))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    with completions.stream(model="auto", messages=messages, tools=TOOLS) as stream:
        equal(stream.get_final_completion().choices[0].message.content, "The tools say: fine, fine.")


@cases.case("chat", "forced tool")
def _(headers, case):
    answer = chat(headers, case, tools=TOOLS, parallel_tool_calls=False,
                  tool_choice={"type": "function", "function": {"name": "traffic"}})
    equal(answer.choices[0].message.tool_calls[0].function.name, "traffic")


@cases.case("chat", "image")
def _(headers, case):
    parts = [
        {"type": "text", "text": f"{case} What do you see?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(640, 480)}", "detail": "high"}},
    ]
    answer = chat(headers, [{"role": "user", "content": parts}])
    equal(answer.choices[0].message.content, "I see 640x480.")
    assert answer.usage.prompt_tokens > 400, answer.usage


@cases.case("chat", "structured output")
def _(headers, case):
    answer = client(headers).chat.completions.parse(model="auto", messages=asks(case), response_format=City)
    equal(answer.choices[0].message.parsed, City(name="some text", people=7))


@cases.case("chat", "structured output", streaming=True)
def _(headers, case):
    completions = client(headers).chat.completions
    with completions.stream(model="auto", messages=asks(case), response_format=City) as stream:
        equal(stream.get_final_completion().choices[0].message.parsed, City(name="some text", people=7))


@cases.case("chat", "reasoning")
def _(headers, case):
    answer = chat(headers, f"{case} [think 300]", reasoning_effort="high")
    equal(answer.usage.completion_tokens_details.reasoning_tokens, 300)


@cases.case("chat", "cached prompt")
def _(headers, case):
    messages = [{"role": "developer", "content": LONG}, {"role": "user", "content": f"{case} First."}]
    first = chat(headers, messages)
    equal(first.usage.prompt_tokens_details.cached_tokens, 0)
    messages += [{"role": "assistant", "content": first.choices[0].message.content}, *asks(f"{case} Second.")]
    second = chat(headers, messages)
    assert second.usage.prompt_tokens_details.cached_tokens > 5000, second.usage


@cases.case("chat", "store and metadata")
def _(headers, case):
    answer = chat(headers, case, store=True, metadata={"task": "7"}, safety_identifier="someone")
    equal(answer.choices[0].message.content, FORTY_TWO)


@cases.case("chat", "error 400", provider_refusals=1)
def _(headers, case):
    error = raises(openai.BadRequestError, lambda: chat(headers, case, temperature=0.2), "Unsupported value")
    equal(error.type, "invalid_request_error")


@cases.case("chat", "error 400", streaming=True, provider_refusals=1)
def _(headers, case):
    raises(openai.BadRequestError, lambda: chat(headers, case, stream=True, top_p=0.2), "Unsupported value")


@cases.case("chat", "unknown member", provider_refusals=1)
def _(headers, case):
    play = lambda: chat(headers, case, extra_body={"no_such_member": 1})
    raises(openai.BadRequestError, play, "no_such_member")


@cases.case("chat", "open tool call", provider_refusals=1)
def _(headers, case):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [*asks(case), {"role": "assistant", "content": None, "tool_calls": [call]}, *asks("Well?")]
    raises(openai.BadRequestError, lambda: chat(headers, messages, tools=TOOLS), "must be followed by tool messages")


@cases.case("chat", "no money", gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    error = raises(openai.RateLimitError, lambda: chat(headers, case), "budget")
    equal((error.status_code, error.code), (429, "insufficient_quota"))


@cases.case("chat", "no money", streaming=True, gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    raises(openai.RateLimitError, lambda: chat(headers, case, stream=True), "budget")


@cases.case("chat", "money ends", gateway_refusals=1, budget="0.03")
def _(headers, case):
    def play():
        for _ in range(200):
            chat(headers, f"{case} [words 500]", max_completion_tokens=1000)
            turns.append(1)

    turns = []
    raises(openai.RateLimitError, play, "budget")
    assert len(turns) >= 2, f"{len(turns)} turns"


@cases.case("chat", "retry after 503", provider_refusals=1)
def _(headers, case):
    equal(chat(headers, f"{case} [fail 503 1]").choices[0].message.content, FORTY_TWO)


@cases.case("chat", "retry after 503", streaming=True, provider_refusals=1)
def _(headers, case):
    equal(text_of(chat(headers, f"{case} [fail 503 1]", stream=True)), FORTY_TWO)


@cases.case("chat", "error 500", provider_refusals=3)
def _(headers, case):
    raises(openai.InternalServerError, lambda: chat(headers, f"{case} [fail 500 9]"), "had an error")


@cases.case("chat", "client leaves", streaming=True, whole=False)
def _(headers, case):
    stream = chat(headers, f"{case} [words 3000]", stream=True)
    next(iter(stream))
    stream.close()
