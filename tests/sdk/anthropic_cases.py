"""The Python library `anthropic`."""

import asyncio

import anthropic
from anthropic import beta_tool
from cases import KEY, LONG, URL, Cases, equal, png, raises
from pydantic import BaseModel

cases = Cases("anthropic", anthropic.__version__)
FORTY_TWO = "The answer is forty-two."


class City(BaseModel):
    name: str
    people: int


def client(headers, kind=anthropic.Anthropic):
    return kind(base_url=URL, api_key=KEY, default_headers=headers, _strict_response_validation=True)


def asks(content):
    return [{"role": "user", "content": content}]


def create(headers, messages, max_tokens=2000, **more):
    messages = asks(messages) if isinstance(messages, str) else messages
    return client(headers).messages.create(model="auto", max_tokens=max_tokens, messages=messages, **more)


def final(headers, messages, max_tokens=2000, **more):
    """The message of a stream."""
    messages = asks(messages) if isinstance(messages, str) else messages
    with client(headers).messages.stream(model="auto", max_tokens=max_tokens, messages=messages, **more) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    equal(text, "".join(block.text for block in message.content if block.type == "text"))
    return message


TOOL = {
    "name": "weather",
    "description": "Get the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING = {"type": "enabled", "budget_tokens": 1500}


def tool_loop(play, headers, case, **more):
    """Two calls at once and their results, in two turns."""
    messages = asks(f"{case} [call weather] [call weather]")
    answer = play(headers, messages, tools=[TOOL], **more)
    equal(answer.stop_reason, "tool_use")
    calls = [block for block in answer.content if block.type == "tool_use"]
    equal([call.input for call in calls], [{"city": "some text"}] * 2)
    messages.append({"role": "assistant", "content": answer.content})
    messages += asks([{"type": "tool_result", "tool_use_id": call.id, "content": "fine"} for call in calls])
    answer = play(headers, messages, tools=[TOOL], **more)
    equal(answer.content[-1].text, "The tools say: fine, fine.")


@cases.case("messages", "plain")
def _(headers, case):
    answer = create(headers, f"{case} What is the answer?", system="Be brief.", metadata={"user_id": "u"})
    equal((answer.content[0].text, answer.stop_reason), (FORTY_TWO, "end_turn"))


@cases.case("messages", "plain", streaming=True)
def _(headers, case):
    equal(final(headers, f"{case} What is the answer?").content[0].text, FORTY_TWO)


@cases.case("messages", "raw events", streaming=True)
def _(headers, case):
    kinds = [event.type for event in create(headers, case, stream=True)]
    equal((kinds[0], kinds[-2], kinds[-1]), ("message_start", "message_delta", "message_stop"))


@cases.case("messages", "async")
def _(headers, case):
    async def play():
        async with client(headers, anthropic.AsyncAnthropic) as other:
            answer = await other.messages.create(model="auto", max_tokens=500, messages=asks(case))
            equal(answer.content[0].text, FORTY_TWO)

    asyncio.run(play())


@cases.case("messages", "async", streaming=True)
def _(headers, case):
    async def play():
        async with client(headers, anthropic.AsyncAnthropic) as other:
            async with other.messages.stream(model="auto", max_tokens=500, messages=asks(case)) as stream:
                equal((await stream.get_final_message()).content[0].text, FORTY_TWO)

    asyncio.run(play())


@cases.case("messages", "largest limit", streaming=True)
def _(headers, case):
    answer = final(headers, f"{case} [words 5000]", max_tokens=64000)
    equal((len(answer.content[0].text.split()), answer.stop_reason), (5000, "end_turn"))


@cases.case("messages", "limit")
def _(headers, case):
    answer = create(headers, f"{case} [words 500]", max_tokens=100)
    equal((answer.stop_reason, answer.usage.output_tokens), ("max_tokens", 100))


@cases.case("messages", "limit", streaming=True)
def _(headers, case):
    answer = final(headers, f"{case} [words 500]", max_tokens=100)
    equal((answer.stop_reason, answer.usage.output_tokens), ("max_tokens", 100))


@cases.case("messages", "tools")
def _(headers, case):
    tool_loop(create, headers, case)


@cases.case("messages", "tools", streaming=True)
def _(headers, case):
    tool_loop(final, headers, case)


def run_tools(headers, case, **more):
    @beta_tool
    def weather(city: str) -> str:
        """Get the weather of a city.

        Args:
            city: its name
        """
        return f"{city} fine"

    messages = asks(f"{case} [call weather]")
    runner = client(headers).beta.messages.tool_runner(
        model="auto", max_tokens=1000, messages=messages, tools=[weather], **more)
    equal(runner.until_done().content[0].text, "The tools say: some text fine.")


@cases.case("messages", "tool runner")
def _(headers, case):
    run_tools(headers, case, thread=False)


# The library's default is a conversation that the provider keeps. Told that it cannot, it sends all of it by itself.
@cases.case("messages", "tool runner with a thread", gateway_refusals=1)
def _(headers, case):
    run_tools(headers, case)


@cases.case("messages", "forced tool")
def _(headers, case):
    answer = create(headers, case, tools=[TOOL], tool_choice={"type": "tool", "name": "weather"})
    equal(answer.content[0].name, "weather")


@cases.case("messages", "image")
def _(headers, case):
    source = {"type": "base64", "media_type": "image/png", "data": png(640, 480)}
    answer = create(headers, asks([{"type": "image", "source": source}, {"type": "text", "text": case}]))
    equal(answer.content[0].text, "I see 640x480.")


@cases.case("messages", "structured output")
def _(headers, case):
    answer = client(headers).messages.parse(model="auto", max_tokens=500, messages=asks(case), output_format=City)
    equal(answer.parsed_output, City(name="some text", people=7))


@cases.case("messages", "structured output", streaming=True)
def _(headers, case):
    equal(final(headers, case, output_format=City).parsed_output, City(name="some text", people=7))


@cases.case("messages", "thinking")
def _(headers, case):
    answer = create(headers, f"{case} [think 300]", thinking=THINKING)
    equal([block.type for block in answer.content], ["thinking", "text"])


@cases.case("messages", "thinking", streaming=True)
def _(headers, case):
    answer = final(headers, f"{case} [think 300]", thinking=THINKING)
    equal([block.type for block in answer.content], ["thinking", "text"])


@cases.case("messages", "thinking and tools")
def _(headers, case):
    tool_loop(create, headers, case, thinking=THINKING)


@cases.case("messages", "thinking and tools", streaming=True)
def _(headers, case):
    tool_loop(final, headers, case, thinking={"type": "adaptive", "display": "omitted"},
              output_config={"effort": "high"})


@cases.case("messages", "cached prompt")
def _(headers, case):
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    first = create(headers, case, system=system)
    assert first.usage.cache_creation_input_tokens > 5000, first.usage
    second = create(headers, case, system=system)
    equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens)


@cases.case("messages", "cached prompt", streaming=True)
def _(headers, case):
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "5m"}}]
    first = final(headers, case, system=system)
    equal(final(headers, case, system=system).usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens)


@cases.case("messages", "cached conversation")
def _(headers, case):
    messages = asks(f"{case} {LONG}")
    first = create(headers, messages, cache_control={"type": "ephemeral"})
    messages += [{"role": "assistant", "content": first.content}, *asks("And then?")]
    second = create(headers, messages, cache_control={"type": "ephemeral"})
    equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens)


@cases.case("messages", "prompt cached for an hour")
def _(headers, case):
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    assert create(headers, case, system=system).usage.cache_creation.ephemeral_1h_input_tokens > 5000


@cases.case("messages", "error 400", provider_refusals=1)
def _(headers, case):
    thinking = {"type": "enabled", "budget_tokens": 2000}
    play = lambda: create(headers, case, thinking=thinking)
    error = raises(anthropic.BadRequestError, play, "must be greater than `thinking.budget_tokens`")
    equal(error.type, "invalid_request_error")


@cases.case("messages", "error 400", streaming=True, provider_refusals=1)
def _(headers, case):
    raises(anthropic.BadRequestError, lambda: final(headers, case, metadata={"no_such": "x"}), "metadata.no_such")


@cases.case("messages", "unknown member", provider_refusals=1)
def _(headers, case):
    play = lambda: create(headers, case, extra_body={"no_such_member": 1})
    raises(anthropic.BadRequestError, play, "Extra inputs are not permitted")


@cases.case("messages", "open tool call", provider_refusals=1)
def _(headers, case):
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    messages = [*asks(case), {"role": "assistant", "content": [call]}, *asks("Well?")]
    raises(anthropic.BadRequestError, lambda: create(headers, messages, tools=[TOOL]), "`tool_use` ids were found")


@cases.case("messages", "foreign signature", provider_refusals=1)
def _(headers, case):
    thought = {"type": "thinking", "thinking": "hmm", "signature": "bm90IG91cnM="}
    said = {"role": "assistant", "content": [thought, {"type": "text", "text": "Yes."}]}
    play = lambda: create(headers, [*asks(case), said, *asks("Why?")], thinking=THINKING)
    raises(anthropic.BadRequestError, play, "Invalid `signature`")


@cases.case("messages", "no money", gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    error = raises(anthropic.RateLimitError, lambda: create(headers, case), "budget")
    equal((error.status_code, error.type), (429, "rate_limit_error"))


@cases.case("messages", "no money", streaming=True, gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    raises(anthropic.RateLimitError, lambda: final(headers, case), "budget")


@cases.case("messages", "money ends", gateway_refusals=1, budget="0.08")
def _(headers, case):
    def play():
        for _ in range(200):
            create(headers, f"{case} [words 500]", max_tokens=1000)
            turns.append(1)

    turns = []
    raises(anthropic.RateLimitError, play, "budget")
    assert len(turns) >= 2, f"{len(turns)} turns"


@cases.case("messages", "money ends among signed thinking", gateway_refusals=1, budget="0.3")
def _(headers, case):
    def play():
        while len(messages) < 200:
            messages.append({"role": "user", "content": f"{case} [call weather] [think 800]"})
            answer = create(headers, messages, tools=[TOOL], thinking=THINKING)
            messages.append({"role": "assistant", "content": answer.content})
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "fine"}
                for block in answer.content if block.type == "tool_use"
            ]
            messages.append({"role": "user", "content": results})
            answer = create(headers, messages, tools=[TOOL], thinking=THINKING)
            messages.append({"role": "assistant", "content": answer.content})

    messages = []
    raises(anthropic.RateLimitError, play, "budget")
    assert len(messages) > 4, f"{len(messages)} messages"


@cases.case("messages", "parallel turns", budget="1")
def _(headers, case):
    async def play():
        async with client(headers, anthropic.AsyncAnthropic) as other:
            turns = (other.messages.create(model="auto", max_tokens=4000, messages=asks(case)) for _ in range(4))
            answers = await asyncio.gather(*turns)
            equal([answer.content[0].text for answer in answers], [FORTY_TWO] * 4)

    asyncio.run(play())


@cases.case("messages", "retry after 503", provider_refusals=1)
def _(headers, case):
    equal(create(headers, f"{case} [fail 503 1]").content[0].text, FORTY_TWO)


@cases.case("messages", "retry after 529", streaming=True, provider_refusals=1)
def _(headers, case):
    equal(final(headers, f"{case} [fail 529 1]").content[0].text, FORTY_TWO)


@cases.case("messages", "error 500", provider_refusals=3)
def _(headers, case):
    raises(anthropic.InternalServerError, lambda: create(headers, f"{case} [fail 500 9]"), "had an error")


@cases.case("messages", "client leaves", streaming=True, whole=False)
def _(headers, case):
    stream = create(headers, f"{case} [words 3000]", max_tokens=5000, stream=True)
    next(iter(stream))
    stream.close()
