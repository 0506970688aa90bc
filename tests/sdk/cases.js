// What the JavaScript scripts share: the same as cases.py for the Python ones.

const assert = require('node:assert');
const path = require('node:path');
const zlib = require('node:zlib');
const { createRequire } = require('node:module');

const URL = process.env.SDK_URL;
// No client's key may reach a model server, which looks for this text.
const KEY = 'key-of-the-client';
// Longer than any prefix that is too short for a cache.
const LONG = 'The rules of the house are many and must be read again every day. '.repeat(400);

// Loads an installed library, or a part of one.
const load = createRequire(path.join(process.env.SDK_HOME, 'node', 'package.json'));

// A grey picture in base64.
function png(width, height) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const rows = Buffer.alloc((width + 1) * height, 0x80);
  for (let row = 0; row < height; row += 1) rows[row * (width + 1)] = 0;
  const data = [chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...data]).toString('base64');
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const equal = (found, expected) => assert.deepStrictEqual(found, expected);

// The error of this class, with this text in its message, that `play` throws.
async function raises(kind, play, text) {
  let found;
  try {
    found = await play();
  } catch (error) {
    assert(error instanceof kind, `found ${error}, expected ${kind.name}`);
    assert(String(error.message).includes(text), `${text} not in ${error.message}`);
    return error;
  }
  throw new Error(`found ${JSON.stringify(found)}, expected ${kind.name}`);
}

// The cases of one library, played by `play` one after another.
class Cases {
  constructor(name) {
    this.name = name.split('/')[0].replace('@', '');
    // A package need not let its package.json be loaded.
    const file = path.join(process.env.SDK_HOME, 'node', 'node_modules', name, 'package.json');
    this.client = `${name} ${require(file).version} (npm)`;
    this.all = [];
  }

  // A case: `play` gets the headers of its session and the text that names its account.
  case(api, about, options, play) {
    this.all.push({ api, about, play, ...options });
  }

  async play() {
    for (const one of this.all) {
      const { api, about, play, streaming = false, whole = true, budget } = one;
      const session = `js-${this.name}:${api}:${about}${streaming ? ':stream' : ''}`.replaceAll(' ', '-');
      const headers = { 'x-session-id': session };
      if (budget) headers['x-seqroute-budget-usd'] = budget;
      let error = null;
      try {
        await play(headers, `[case ${session}]`);
      } catch (thrown) {
        // Whatever a library throws is the result of the case.
        error = `${thrown.constructor.name}: ${thrown.message}`;
      }
      const { provider = 0, gateway = 0 } = one;
      console.log(JSON.stringify({
        client: this.client, api, streaming, case: about, session, error, whole,
        provider_refusals: provider, gateway_refusals: gateway,
      }));
    }
  }
}

module.exports = { assert, Cases, equal, KEY, load, LONG, png, raises, URL };
