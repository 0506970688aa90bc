// The JavaScript library `@anthropic-ai/sdk`.

const { assert, Cases, equal, KEY, load, LONG, png, raises, URL } = require('./cases.js');

const Anthropic = load('@anthropic-ai/sdk');
const { zodOutputFormat } = load('@anthropic-ai/sdk/helpers/zod');
const { betaZodTool } = load('@anthropic-ai/sdk/helpers/beta/zod');
const { z } = load('zod');

const cases = new Cases('@anthropic-ai/sdk');
const FORTY_TWO = 'The answer is forty-two.';
const City = z.object({ name: z.string(), people: z.number().int() });
const CITY = { name: 'some text', people: 7 };
const STREAM = { streaming: true };
const POOR = { budget: '0.0000001', gateway: 1 };
const THINKING = { type: 'enabled', budget_tokens: 1500 };

const client = (headers) => new Anthropic({ baseURL: URL, apiKey: KEY, defaultHeaders: headers });
const asks = (content) => [{ role: 'user', content }];
const body = (messages, more) => ({ model: 'auto', max_tokens: 2000, messages, ...more });
const create = (headers, messages, more) => client(headers).messages.create(body(messages, more));
const final = (headers, messages, more) => client(headers).messages.stream(body(messages, more)).finalMessage();

const TOOL = {
  name: 'weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

// Two calls at once and their results, in two turns.
async function toolLoop(play, headers, mark, more) {
  const messages = asks(`${mark} [call weather] [call weather]`);
  const first = await play(headers, messages, { tools: [TOOL], ...more });
  const calls = first.content.filter((block) => block.type === 'tool_use');
  equal(calls.map((call) => call.input), [{ city: 'some text' }, { city: 'some text' }]);
  messages.push({ role: 'assistant', content: first.content });
  messages.push(...asks(calls.map((call) => ({ type: 'tool_result', tool_use_id: call.id, content: 'fine' }))));
  const second = await play(headers, messages, { tools: [TOOL], ...more });
  equal(second.content.at(-1).text, 'The tools say: fine, fine.');
}

cases.case('messages', 'plain', {}, async (headers, mark) => {
  const answer = await create(headers, asks(mark), { system: 'Be brief.' });
  equal([answer.content[0].text, answer.stop_reason], [FORTY_TWO, 'end_turn']);
});

cases.case('messages', 'plain', STREAM, async (headers, mark) => {
  equal((await final(headers, asks(mark))).content[0].text, FORTY_TWO);
});

cases.case('messages', 'raw events', STREAM, async (headers, mark) => {
  const kinds = [];
  for await (const event of await create(headers, asks(mark), { stream: true })) kinds.push(event.type);
  equal([kinds[0], kinds.at(-2), kinds.at(-1)], ['message_start', 'message_delta', 'message_stop']);
});

cases.case('messages', 'largest limit', STREAM, async (headers, mark) => {
  const answer = await final(headers, asks(`${mark} [words 5000]`), { max_tokens: 64000 });
  equal(answer.content[0].text.trim().split(' ').length, 5000);
});

cases.case('messages', 'limit', {}, async (headers, mark) => {
  const answer = await create(headers, asks(`${mark} [words 500]`), { max_tokens: 100 });
  equal([answer.stop_reason, answer.usage.output_tokens], ['max_tokens', 100]);
});

cases.case('messages', 'tools', {}, async (headers, mark) => {
  await toolLoop(create, headers, mark);
});

cases.case('messages', 'tools', STREAM, async (headers, mark) => {
  await toolLoop(final, headers, mark);
});

async function runTools(headers, mark, more) {
  const weather = betaZodTool({
    name: 'weather', description: 'The weather.', inputSchema: z.object({ city: z.string() }),
    run: ({ city }) => `${city} fine`,
  });
  const asked = body(asks(`${mark} [call weather]`), { tools: [weather], ...more });
  const answer = await client(headers).beta.messages.toolRunner(asked);
  equal(answer.content[0].text, 'The tools say: some text fine.');
}

cases.case('messages', 'tool runner', {}, async (headers, mark) => {
  await runTools(headers, mark, { thread: false });
});

// The library's default is a conversation that the provider keeps. Told that it cannot, it sends all of it by itself.
cases.case('messages', 'tool runner with a thread', { gateway: 1 }, async (headers, mark) => {
  await runTools(headers, mark);
});

cases.case('messages', 'image', {}, async (headers, mark) => {
  const source = { type: 'base64', media_type: 'image/png', data: png(640, 480) };
  const answer = await create(headers, asks([{ type: 'image', source }, { type: 'text', text: mark }]));
  equal(answer.content[0].text, 'I see 640x480.');
});

cases.case('messages', 'structured output', {}, async (headers, mark) => {
  const output_config = { format: zodOutputFormat(City) };
  const answer = await client(headers).messages.parse(body(asks(mark), { output_config }));
  equal(answer.parsed_output, CITY);
});

cases.case('messages', 'thinking and tools', {}, async (headers, mark) => {
  await toolLoop(create, headers, mark, { thinking: THINKING });
});

cases.case('messages', 'thinking and tools', STREAM, async (headers, mark) => {
  await toolLoop(final, headers, mark, { thinking: THINKING });
});

cases.case('messages', 'cached prompt', {}, async (headers, mark) => {
  const system = [{ type: 'text', text: LONG, cache_control: { type: 'ephemeral' } }];
  const first = await create(headers, asks(mark), { system });
  const second = await create(headers, asks(mark), { system });
  assert(first.usage.cache_creation_input_tokens > 5000);
  equal(second.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens);
});

cases.case('messages', 'error 400', { provider: 1 }, async (headers, mark) => {
  const play = () => create(headers, asks(mark), { thinking: { type: 'enabled', budget_tokens: 2000 } });
  await raises(Anthropic.BadRequestError, play, 'must be greater than `thinking.budget_tokens`');
});

cases.case('messages', 'foreign signature', { ...STREAM, provider: 1 }, async (headers, mark) => {
  const thought = { type: 'thinking', thinking: 'hmm', signature: 'bm90IG91cnM=' };
  const said = { role: 'assistant', content: [thought, { type: 'text', text: 'Yes.' }] };
  const play = () => final(headers, [...asks(mark), said, ...asks('Why?')], { thinking: THINKING });
  await raises(Anthropic.BadRequestError, play, 'Invalid `signature`');
});

cases.case('messages', 'no money', POOR, async (headers, mark) => {
  const error = await raises(Anthropic.RateLimitError, () => create(headers, asks(mark)), 'budget');
  equal(error.status, 429);
});

cases.case('messages', 'no money', { ...STREAM, ...POOR }, async (headers, mark) => {
  await raises(Anthropic.RateLimitError, () => final(headers, asks(mark)), 'budget');
});

cases.case('messages', 'retry after 503', { provider: 1 }, async (headers, mark) => {
  equal((await create(headers, asks(`${mark} [fail 503 1]`))).content[0].text, FORTY_TWO);
});

cases.case('messages', 'retry after 529', { ...STREAM, provider: 1 }, async (headers, mark) => {
  equal((await final(headers, asks(`${mark} [fail 529 1]`))).content[0].text, FORTY_TWO);
});

cases.case('messages', 'client leaves', { ...STREAM, whole: false }, async (headers, mark) => {
  const stream = await create(headers, asks(`${mark} [words 1500]`), { stream: true });
  for await (const _ of stream) break;
});

cases.play();
