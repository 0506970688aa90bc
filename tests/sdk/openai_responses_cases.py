"""The responses API in the Python library `openai`. Answers are not stored: conversations carry their own history."""

import asyncio

import openai
from cases import LONG, Cases, equal, png, raises
from openai_client import FORTY_TWO, City, client

cases = Cases("openai", openai.__version__)


def respond(headers, asked, **more):
    return client(headers).responses.create(model="auto", input=asked, **more)


def final(stream):
    events = list(stream)
    kinds = [event.type for event in events]
    equal(kinds[0], "response.created")
    assert kinds[-1] in ("response.completed", "response.incomplete"), kinds[-1]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal(text, events[-1].response.output_text)
    return events[-1].response


TOOL = {
    "type": "function",
    "name": "weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def tool_loop(headers, case, **more):
    """A call and its result, in two turns."""
    asked = [{"role": "user", "content": f"{case} [call weather]"}]
    for expected in ["function_call", "message"]:
        answer = respond(headers, asked, tools=[TOOL], store=False, include=["reasoning.encrypted_content"], **more)
        answer = final(answer) if more else answer
        equal([item.type for item in answer.output], ["reasoning", expected])
        asked += [item.to_dict(exclude_unset=True) for item in answer.output]
        if expected == "function_call":
            asked.append({"type": "function_call_output", "call_id": asked[-1]["call_id"], "output": "fine"})
    equal(answer.output_text, "The tools say: fine.")


@cases.case("responses", "plain")
def _(headers, case):
    answer = respond(headers, f"{case} What is the answer?", instructions="Be brief.")
    equal((answer.output_text, answer.status), (FORTY_TWO, "completed"))
    equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)


@cases.case("responses", "plain", streaming=True)
def _(headers, case):
    equal(final(respond(headers, case, stream=True)).output_text, FORTY_TWO)


@cases.case("responses", "helper", streaming=True)
def _(headers, case):
    with client(headers).responses.stream(model="auto", input=case) as stream:
        equal(stream.get_final_response().output_text, FORTY_TWO)


@cases.case("responses", "async", streaming=True)
def _(headers, case):
    async def play():
        async with client(headers, openai.AsyncOpenAI) as other:
            stream = await other.responses.create(model="auto", input=case, stream=True)
            events = [event async for event in stream]
            equal(events[-1].response.output_text, FORTY_TWO)

    asyncio.run(play())


@cases.case("responses", "no limit")
def _(headers, case):
    equal(len(respond(headers, f"{case} [words 5000]").output_text.split()), 5000)


@cases.case("responses", "no limit", streaming=True)
def _(headers, case):
    equal(len(final(respond(headers, f"{case} [words 5000]", stream=True)).output_text.split()), 5000)


@cases.case("responses", "limit")
def _(headers, case):
    answer = respond(headers, f"{case} [words 500]", max_output_tokens=100)
    equal((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    equal(answer.usage.output_tokens, 100)


@cases.case("responses", "limit", streaming=True)
def _(headers, case):
    answer = final(respond(headers, f"{case} [words 500]", max_output_tokens=100, stream=True))
    equal((answer.status, answer.usage.output_tokens), ("incomplete", 100))


@cases.case("responses", "tools")
def _(headers, case):
    tool_loop(headers, case)


@cases.case("responses", "tools", streaming=True)
def _(headers, case):
    tool_loop(headers, case, stream=True)


@cases.case("responses", "image")
def _(headers, case):
    parts = [
        {"type": "input_text", "text": f"{case} What do you see?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(640, 480)}", "detail": "auto"},
    ]
    equal(respond(headers, [{"role": "user", "content": parts}]).output_text, "I see 640x480.")


@cases.case("responses", "structured output")
def _(headers, case):
    answer = client(headers).responses.parse(model="auto", input=case, text_format=City)
    equal(answer.output_parsed, City(name="some text", people=7))


@cases.case("responses", "structured output", streaming=True)
def _(headers, case):
    with client(headers).responses.stream(model="auto", input=case, text_format=City) as stream:
        equal(stream.get_final_response().output_parsed, City(name="some text", people=7))


@cases.case("responses", "reasoning")
def _(headers, case):
    answer = respond(headers, f"{case} [think 300]", reasoning={"effort": "high", "summary": "auto"})
    equal(answer.usage.output_tokens_details.reasoning_tokens, 300)
    equal(answer.output[0].summary[0].text, "I mull it over.")


@cases.case("responses", "reasoning", streaming=True)
def _(headers, case):
    answer = final(respond(headers, f"{case} [think 300]", reasoning={"summary": "auto"}, stream=True))
    equal(answer.output[0].summary[0].text, "I mull it over.")


@cases.case("responses", "cached prompt")
def _(headers, case):
    for cached in (False, True):
        answer = respond(headers, case, instructions=LONG, prompt_cache_key="house")
        equal(answer.usage.input_tokens_details.cached_tokens > 5000, cached)


@cases.case("responses", "metadata")
def _(headers, case):
    answer = respond(headers, case, metadata={"task": "7"}, truncation="auto", store=True)
    equal((answer.output_text, answer.metadata), (FORTY_TWO, {"task": "7"}))


@cases.case("responses", "error 400", provider_refusals=1)
def _(headers, case):
    raises(openai.BadRequestError, lambda: respond(headers, case, max_output_tokens=7), "max_output_tokens")


@cases.case("responses", "error 400", streaming=True, provider_refusals=1)
def _(headers, case):
    play = lambda: respond(headers, case, stream=True, extra_body={"no_such_member": 1})
    raises(openai.BadRequestError, play, "no_such_member")


@cases.case("responses", "foreign reasoning", provider_refusals=1)
def _(headers, case):
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "bm90IG91cnM="}
    asked = [{"role": "user", "content": case}, item, {"role": "user", "content": "And?"}]
    error = raises(openai.BadRequestError, lambda: respond(headers, asked, store=False), "could not be verified")
    equal(error.code, "invalid_encrypted_content")


@cases.case("responses", "stored answer", gateway_refusals=1)
def _(headers, case):
    play = lambda: respond(headers, case, previous_response_id="resp_7")
    raises(openai.BadRequestError, play, "previous_response_id")


@cases.case("responses", "no money", gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    raises(openai.RateLimitError, lambda: respond(headers, case), "budget")


@cases.case("responses", "no money", streaming=True, gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    raises(openai.RateLimitError, lambda: respond(headers, case, stream=True), "budget")


@cases.case("responses", "money ends among sealed reasoning", gateway_refusals=1, budget="0.1")
def _(headers, case):
    def play():
        while len(asked) < 200:
            asked.append({"role": "user", "content": f"{case} [think 800]"})
            answer = respond(headers, asked, store=False, include=["reasoning.encrypted_content"],
                             max_output_tokens=1500)
            asked.extend(item.to_dict(exclude_unset=True) for item in answer.output)

    asked = []
    raises(openai.RateLimitError, play, "budget")
    assert len(asked) > 4, f"{len(asked)} items"


@cases.case("responses", "retry after 503", provider_refusals=1)
def _(headers, case):
    equal(respond(headers, f"{case} [fail 503 1]").output_text, FORTY_TWO)


@cases.case("responses", "retry after 503", streaming=True, provider_refusals=1)
def _(headers, case):
    equal(final(respond(headers, f"{case} [fail 503 1]", stream=True)).output_text, FORTY_TWO)


@cases.case("responses", "client leaves", streaming=True, whole=False)
def _(headers, case):
    stream = respond(headers, f"{case} [words 3000]", stream=True)
    next(iter(stream))
    stream.close()
