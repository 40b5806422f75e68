'use strict';
// Verifies payloads with both lines of Smartcar's published SDK. Each line of standard input is {"token", "signature", "body"};
// each line of standard output is "ok" or the lines of the SDK that refuse it.
const lines = ['smartcar-9', 'smartcar-10'];
const sdks = lines.map((line) => require(line));
require('readline').createInterface({input: process.stdin}).on('line', (text) => {
  const {token, signature, body} = JSON.parse(text);
  const refused = lines.filter((line, i) => !sdks[i].verifyPayload(token, signature, JSON.parse(body)));
  console.log(refused.length === 0 ? 'ok' : refused.join(' '));
});
