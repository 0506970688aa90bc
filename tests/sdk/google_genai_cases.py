"""The Python library `google-genai`."""

import asyncio
import base64

from cases import KEY, LONG, URL, Cases, equal, png, raises
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

cases = Cases("google-genai", genai.__version__)
FORTY_TWO = "The answer is forty-two."
CLIENTS = []


class City(BaseModel):
    name: str
    people: int


def client(headers, attempts=None, version="v1beta"):
    # Without a version it takes its own, which has changed before.
    retry = types.HttpRetryOptions(attempts=attempts, initial_delay=0.1) if attempts else None
    options = types.HttpOptions(base_url=URL, headers=headers, retry_options=retry)
    if version:
        options.api_version = version
    # A client closes its connections when it is collected, and a part of it does not keep it.
    CLIENTS.append(genai.Client(api_key=KEY, http_options=options))
    return CLIENTS[-1]


def ask(headers, contents, attempts=None, **config):
    models = client(headers, attempts=attempts).models
    return models.generate_content(model="gemini-2.5-pro", contents=contents, config=config)


def stream(headers, contents, attempts=None, **config):
    models = client(headers, attempts=attempts).models
    return models.generate_content_stream(model="gemini-2.5-pro", contents=contents, config=config)


def text_of(chunks):
    return "".join(chunk.text or "" for chunk in chunks)


def weather(city: str, days: int) -> str:
    """Get the weather of a city."""
    return f"{city} {days} fine"


DECLARED = types.Tool(function_declarations=[
    types.FunctionDeclaration.from_callable_with_api_option(callable=weather, api_option="GEMINI_API")])


@cases.case("generate", "plain")
def _(headers, case):
    answer = ask(headers, f"{case} What is the answer?")
    equal(answer.text, FORTY_TWO)
    usage = answer.usage_metadata
    total = usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    equal(usage.total_token_count, total)


@cases.case("generate", "plain", streaming=True)
def _(headers, case):
    chunks = list(stream(headers, f"{case} What is the answer?"))
    equal(text_of(chunks), FORTY_TWO)
    equal(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP)


@cases.case("generate", "version of its own")
def _(headers, case):
    models = client(headers, version=None).models
    equal(models.generate_content(model="gemini-2.5-pro", contents=case).text, FORTY_TWO)


@cases.case("generate", "version of its own", streaming=True)
def _(headers, case):
    models = client(headers, version=None).models
    equal(text_of(models.generate_content_stream(model="gemini-2.5-pro", contents=case)), FORTY_TWO)


@cases.case("generate", "async", streaming=True)
def _(headers, case):
    async def play():
        models = client(headers).aio.models
        chunks = await models.generate_content_stream(model="gemini-2.5-pro", contents=case)
        equal(text_of([chunk async for chunk in chunks]), FORTY_TWO)

    asyncio.run(play())


@cases.case("generate", "chat")
def _(headers, case):
    chat = client(headers).chats.create(model="gemini-2.5-pro")
    equal(chat.send_message(f"{case} First.").text, FORTY_TWO)
    equal(chat.send_message(f"{case} Second.").text, FORTY_TWO)


@cases.case("generate", "no limit")
def _(headers, case):
    equal(len(ask(headers, f"{case} [words 5000]").text.split()), 5000)


@cases.case("generate", "no limit", streaming=True)
def _(headers, case):
    equal(len(text_of(stream(headers, f"{case} [words 5000]")).split()), 5000)


@cases.case("generate", "no limit but less money", budget="5")
def _(headers, case):
    equal(len(ask(headers, f"{case} [words 2000]").text.split()), 2000)


@cases.case("generate", "limit")
def _(headers, case):
    answer = ask(headers, f"{case} [words 500]", max_output_tokens=100)
    equal(answer.candidates[0].finish_reason, types.FinishReason.MAX_TOKENS)
    equal(answer.usage_metadata.candidates_token_count, 80)


@cases.case("generate", "limit", streaming=True)
def _(headers, case):
    chunks = list(stream(headers, f"{case} [words 500]", max_output_tokens=100))
    equal(chunks[-1].candidates[0].finish_reason, types.FinishReason.MAX_TOKENS)


@cases.case("generate", "tools")
def _(headers, case):
    answer = ask(headers, f"{case} [call weather]", tools=[weather])
    assert "some text 7 fine" in answer.text, answer.text


@cases.case("generate", "tools by hand")
def _(headers, case):
    contents = [types.Content(role="user", parts=[types.Part(text=f"{case} [call weather]")])]
    answer = ask(headers, contents, tools=[DECLARED])
    equal(answer.function_calls[0].args, {"city": "some text", "days": 7})
    assert answer.candidates[0].content.parts[0].thought_signature, "no signature"
    result = types.Part.from_function_response(name="weather", response={"result": "fine"})
    contents += [answer.candidates[0].content, types.Content(role="user", parts=[result])]
    assert "fine" in ask(headers, contents, tools=[DECLARED]).text


@cases.case("generate", "tools", streaming=True)
def _(headers, case):
    contents = [types.Content(role="user", parts=[types.Part(text=f"{case} [call weather]")])]
    chunks = list(stream(headers, contents, tools=[DECLARED]))
    calls = [part for chunk in chunks for part in chunk.candidates[0].content.parts if part.function_call]
    equal(len(calls), 1)
    result = types.Part.from_function_response(name="weather", response={"result": "fine"})
    contents += [types.Content(role="model", parts=calls), types.Content(role="user", parts=[result])]
    assert "fine" in text_of(stream(headers, contents, tools=[DECLARED]))


@cases.case("generate", "image")
def _(headers, case):
    picture = types.Part.from_bytes(data=base64.b64decode(png(640, 480)), mime_type="image/png")
    equal(ask(headers, [f"{case} What do you see?", picture]).text, "I see 640x480.")


@cases.case("generate", "structured output")
def _(headers, case):
    answer = ask(headers, case, response_mime_type="application/json", response_schema=City)
    equal(answer.parsed, City(name="some text", people=7))


@cases.case("generate", "structured output", streaming=True)
def _(headers, case):
    chunks = stream(headers, case, response_mime_type="application/json", response_schema=City)
    equal(City.model_validate_json(text_of(chunks)), City(name="some text", people=7))


@cases.case("generate", "thinking")
def _(headers, case):
    thinking = types.ThinkingConfig(thinking_budget=2048, include_thoughts=True)
    answer = ask(headers, f"{case} [think 300]", thinking_config=thinking)
    equal(answer.usage_metadata.thoughts_token_count, 300)
    equal([bool(part.thought) for part in answer.candidates[0].content.parts], [True, False])


@cases.case("generate", "thinking", streaming=True)
def _(headers, case):
    thinking = types.ThinkingConfig(thinking_budget=-1, include_thoughts=True)
    chunks = list(stream(headers, f"{case} [think 300]", thinking_config=thinking))
    equal(chunks[-1].usage_metadata.thoughts_token_count, 300)


@cases.case("generate", "cached prompt")
def _(headers, case):
    contents = [types.Content(role="user", parts=[types.Part(text=f"{case} First.")])]
    first = ask(headers, contents, system_instruction=LONG)
    contents += [first.candidates[0].content, types.Content(role="user", parts=[types.Part(text=case)])]
    assert ask(headers, contents, system_instruction=LONG).usage_metadata.cached_content_token_count > 5000


@cases.case("generate", "error 400", provider_refusals=1)
def _(headers, case):
    thinking = types.ThinkingConfig(thinking_budget=40000)
    error = raises(errors.ClientError, lambda: ask(headers, case, thinking_config=thinking), "thinking budget")
    equal((error.code, error.status), (400, "INVALID_ARGUMENT"))


@cases.case("generate", "error 400", streaming=True, provider_refusals=1)
def _(headers, case):
    play = lambda: list(stream(headers, case, temperature=3.0))
    raises(errors.ClientError, play, "temperature")


@cases.case("generate", "no money", gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    error = raises(errors.ClientError, lambda: ask(headers, case), "budget")
    equal((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))


@cases.case("generate", "no money", streaming=True, gateway_refusals=1, budget="0.0000001")
def _(headers, case):
    raises(errors.ClientError, lambda: list(stream(headers, case)), "budget")


# This library retries every 429, whatever the answer says, as often as it was told to.
@cases.case("generate", "no money and retries", gateway_refusals=3, budget="0.0000001")
def _(headers, case):
    raises(errors.ClientError, lambda: ask(headers, case, attempts=3), "budget")


@cases.case("generate", "retry after 503", provider_refusals=1)
def _(headers, case):
    equal(ask(headers, f"{case} [fail 503 1]", attempts=3).text, FORTY_TWO)


@cases.case("generate", "retry after 503", streaming=True, provider_refusals=1)
def _(headers, case):
    equal(text_of(stream(headers, f"{case} [fail 503 1]", attempts=3)), FORTY_TWO)


@cases.case("generate", "error 503", provider_refusals=1)
def _(headers, case):
    raises(errors.ServerError, lambda: ask(headers, f"{case} [fail 503 9]"), "had an error")


@cases.case("generate", "client leaves", streaming=True, whole=False)
def _(headers, case):
    chunks = stream(headers, f"{case} [words 3000]")
    next(chunks)
    chunks.close()
