// The JavaScript library `openai`.

const { assert, Cases, equal, KEY, load, LONG, png, raises, URL } = require('./cases.js');

const OpenAI = load('openai');
const { zodResponseFormat, zodTextFormat } = load('openai/helpers/zod');
const { z } = load('zod');

const cases = new Cases('openai');
const FORTY_TWO = 'The answer is forty-two.';
const City = z.object({ name: z.string(), people: z.number().int() });
const CITY = { name: 'some text', people: 7 };
const STREAM = { streaming: true };
const POOR = { budget: '0.0000001', gateway: 1 };

const client = (headers) => new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, defaultHeaders: headers });
const asks = (content) => [{ role: 'user', content }];
const chat = (headers, content, more) =>
  client(headers).chat.completions.create({ model: 'auto', messages: asks(content), ...more });
const respond = (headers, input, more) => client(headers).responses.create({ model: 'auto', input, ...more });

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
const TOOL = { type: 'function', function: { name: 'weather', strict: true, parameters } };
const RUNNABLE = {
  type: 'function',
  function: { name: 'weather', parameters, parse: JSON.parse, function: ({ city }) => `${city} fine` },
};

cases.case('chat', 'plain', {}, async (headers, mark) => {
  const answer = await chat(headers, `${mark} What is the answer?`);
  equal([answer.choices[0].message.content, answer.choices[0].finish_reason], [FORTY_TWO, 'stop']);
});

cases.case('chat', 'plain', STREAM, async (headers, mark) => {
  equal(textOf(await all(await chat(headers, mark, { stream: true }))), FORTY_TWO);
});

cases.case('chat', 'usage hidden', STREAM, async (headers, mark) => {
  const chunks = await all(await chat(headers, mark, { stream: true }));
  assert(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
});

cases.case('chat', 'usage asked for', STREAM, async (headers, mark) => {
  const more = { stream: true, stream_options: { include_usage: true } };
  const chunks = await all(await chat(headers, `${mark} [words 30]`, more));
  equal(chunks.at(-1).usage.completion_tokens, 50);
});

cases.case('chat', 'no limit', {}, async (headers, mark) => {
  const answer = await chat(headers, `${mark} [words 5000]`);
  equal(answer.choices[0].message.content.trim().split(' ').length, 5000);
});

cases.case('chat', 'limit', STREAM, async (headers, mark) => {
  const chunks = await all(await chat(headers, `${mark} [words 500]`, { stream: true, max_completion_tokens: 100 }));
  equal(chunks.at(-1).choices[0].finish_reason, 'length');
});

cases.case('chat', 'tools', {}, async (headers, mark) => {
  const runner = client(headers).chat.completions.runTools({
    model: 'auto', messages: asks(`${mark} [call weather]`), tools: [RUNNABLE],
  });
  equal(await runner.finalContent(), 'The tools say: some text fine.');
});

cases.case('chat', 'tools', STREAM, async (headers, mark) => {
  const runner = client(headers).chat.completions.runTools({
    model: 'auto', messages: asks(`${mark} [call weather]`), tools: [RUNNABLE], stream: true,
  });
  equal(await runner.finalContent(), 'The tools say: some text fine.');
});

cases.case('chat', 'forced tool', {}, async (headers, mark) => {
  const answer = await chat(headers, mark, { tools: [TOOL], tool_choice: 'required' });
  equal(answer.choices[0].message.tool_calls[0].function.name, 'weather');
});

cases.case('chat', 'image', {}, async (headers, mark) => {
  const url = `data:image/png;base64,${png(640, 480)}`;
  const answer = await chat(headers, [{ type: 'text', text: mark }, { type: 'image_url', image_url: { url } }]);
  equal(answer.choices[0].message.content, 'I see 640x480.');
});

cases.case('chat', 'structured output', {}, async (headers, mark) => {
  const answer = await client(headers).chat.completions.parse({
    model: 'auto', messages: asks(mark), response_format: zodResponseFormat(City, 'city'),
  });
  equal(answer.choices[0].message.parsed, CITY);
});

cases.case('chat', 'structured output', STREAM, async (headers, mark) => {
  const stream = client(headers).chat.completions.stream({
    model: 'auto', messages: asks(mark), response_format: zodResponseFormat(City, 'city'),
  });
  equal((await stream.finalChatCompletion()).choices[0].message.parsed, CITY);
});

cases.case('chat', 'cached prompt', {}, async (headers, mark) => {
  for (const cached of [false, true]) {
    const messages = [{ role: 'system', content: LONG }, ...asks(mark)];
    const answer = await client(headers).chat.completions.create({ model: 'auto', messages });
    equal(answer.usage.prompt_tokens_details.cached_tokens > 5000, cached);
  }
});

cases.case('chat', 'error 400', { provider: 1 }, async (headers, mark) => {
  await raises(OpenAI.BadRequestError, () => chat(headers, mark, { temperature: 0.2 }), 'Unsupported value');
});

cases.case('chat', 'error 400', { ...STREAM, provider: 1 }, async (headers, mark) => {
  await raises(OpenAI.BadRequestError, () => chat(headers, mark, { stream: true, top_p: 0.2 }), 'Unsupported value');
});

cases.case('chat', 'no money', POOR, async (headers, mark) => {
  const error = await raises(OpenAI.RateLimitError, () => chat(headers, mark), 'budget');
  equal([error.status, error.code], [429, 'insufficient_quota']);
});

cases.case('chat', 'no money', { ...STREAM, ...POOR }, async (headers, mark) => {
  await raises(OpenAI.RateLimitError, () => chat(headers, mark, { stream: true }), 'budget');
});

cases.case('chat', 'retry after 503', { provider: 1 }, async (headers, mark) => {
  equal((await chat(headers, `${mark} [fail 503 1]`)).choices[0].message.content, FORTY_TWO);
});

cases.case('chat', 'retry after 503', { ...STREAM, provider: 1 }, async (headers, mark) => {
  equal(textOf(await all(await chat(headers, `${mark} [fail 503 1]`, { stream: true }))), FORTY_TWO);
});

cases.case('chat', 'client leaves', { ...STREAM, whole: false }, async (headers, mark) => {
  for await (const _ of await chat(headers, `${mark} [words 3000]`, { stream: true })) break;
});

// Two turns of a call and its result, without stored answers.
async function toolLoop(headers, mark, turn) {
  const input = asks(`${mark} [call weather]`);
  const tool = { type: 'function', name: 'weather', strict: true, parameters };
  const more = { tools: [tool], store: false, include: ['reasoning.encrypted_content'] };
  const first = await turn(input, more);
  const calls = first.output.filter((item) => item.type === 'function_call');
  const results = calls.map((call) => ({ type: 'function_call_output', call_id: call.call_id, output: 'fine' }));
  const second = await turn([...input, ...first.output, ...results], more);
  equal(second.output_text, 'The tools say: fine.');
}

async function final(stream) {
  const events = await all(stream);
  const { response } = events.at(-1);
  response.output_text = events.filter((event) => event.type === 'response.output_text.delta')
    .map((event) => event.delta).join('');
  return response;
}

cases.case('responses', 'plain', {}, async (headers, mark) => {
  const answer = await respond(headers, mark, { instructions: 'Be brief.' });
  equal([answer.output_text, answer.status], [FORTY_TWO, 'completed']);
});

cases.case('responses', 'plain', STREAM, async (headers, mark) => {
  equal((await final(await respond(headers, mark, { stream: true }))).output_text, FORTY_TWO);
});

cases.case('responses', 'no limit', STREAM, async (headers, mark) => {
  const answer = await final(await respond(headers, `${mark} [words 5000]`, { stream: true }));
  equal(answer.output_text.trim().split(' ').length, 5000);
});

cases.case('responses', 'limit', {}, async (headers, mark) => {
  const answer = await respond(headers, `${mark} [words 500]`, { max_output_tokens: 100 });
  equal([answer.status, answer.usage.output_tokens], ['incomplete', 100]);
});

cases.case('responses', 'tools', {}, async (headers, mark) => {
  await toolLoop(headers, mark, (input, more) => respond(headers, input, more));
});

cases.case('responses', 'tools', STREAM, async (headers, mark) => {
  await toolLoop(headers, mark, async (input, more) => final(await respond(headers, input, { ...more, stream: true })));
});

cases.case('responses', 'image', {}, async (headers, mark) => {
  const image_url = `data:image/png;base64,${png(640, 480)}`;
  const content = [{ type: 'input_text', text: mark }, { type: 'input_image', image_url, detail: 'auto' }];
  equal((await respond(headers, asks(content))).output_text, 'I see 640x480.');
});

cases.case('responses', 'structured output', {}, async (headers, mark) => {
  const answer = await client(headers).responses.parse({
    model: 'auto', input: mark, text: { format: zodTextFormat(City, 'city') },
  });
  equal(answer.output_parsed, CITY);
});

cases.case('responses', 'reasoning', STREAM, async (headers, mark) => {
  const stream = client(headers).responses.stream({ model: 'auto', input: mark, reasoning: { summary: 'auto' } });
  const answer = await stream.finalResponse();
  equal(answer.output[0].summary[0].text, 'I mull it over.');
});

cases.case('responses', 'error 400', { provider: 1 }, async (headers, mark) => {
  await raises(OpenAI.BadRequestError, () => respond(headers, mark, { max_output_tokens: 7 }), 'max_output_tokens');
});

cases.case('responses', 'no money', { ...STREAM, ...POOR }, async (headers, mark) => {
  await raises(OpenAI.RateLimitError, () => respond(headers, mark, { stream: true }), 'budget');
});

cases.case('responses', 'retry after 503', { provider: 1 }, async (headers, mark) => {
  equal((await respond(headers, `${mark} [fail 503 1]`)).output_text, FORTY_TWO);
});

cases.play();
