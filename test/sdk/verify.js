'use strict';
// Verifies requests with Standard Webhooks' published library. Each line of standard input is {"key", "headers", "body"};
// each line of standard output is "ok" or why not.
const {Webhook} = require('standardwebhooks');
const lines = require('readline').createInterface({input: process.stdin});
lines.on('line', (line) => {
  const {key, headers, body} = JSON.parse(line);
  try {
    new Webhook(key).verify(body, headers);
    console.log('ok');
  } catch (err) {
    console.log(String(err).replaceAll('\n', ' '));
  }
});
