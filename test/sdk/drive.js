'use strict';
// Drives plugbeat the way an application does, with the published Smartcar SDK: a receiver that answers the challenge and verifies each payload
// with the SDK's own helpers, and a caller that goes through the SDK's calls. Usage: node drive.js smartcar-9|smartcar-10
// It prints one JSON object a line: first {"port": N}, then, after reading {origin, token, amt, webhook, key} from
// standard input, {"calls": {...}}, and {"received": [...]} when standard input ends.
const http = require('http');
const readline = require('readline');
const smartcar = require(process.argv[2]);
const {Webhook} = require('standardwebhooks');

const received = [];
let amt = null;
let key = null;
let newKey = null; // while the webhook's key is rotated
let notify = () => {};

const say = (o) => process.stdout.write(JSON.stringify(o) + '\n');

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', (c) => chunks.push(c));
  req.on('end', () => {
    const raw = Buffer.concat(chunks).toString('utf8');
    const body = JSON.parse(raw);
    const entry = {
      event: body.eventName,
      id: req.headers['webhook-id'],
      spelling: req.rawHeaders.includes('SC-Signature'),
      sdk: amt !== null && smartcar.verifyPayload(amt, req.headers['sc-signature'], body),
      standard: false,
      body,
    };
    if (key) {
      try {
        new Webhook(key).verify(raw, req.headers);
        entry.standard = true;
      } catch (err) {
        entry.standardError = String(err);
      }
    }
    if (newKey) {
      try {
        new Webhook(newKey).verify(raw, req.headers);
        entry.standardNew = true;
      } catch (err) {
        entry.standardNew = false;
      }
    }
    received.push(entry);
    res.setHeader('content-type', 'application/json');
    if (body.eventName === 'verify') {
      res.end(JSON.stringify({challenge: smartcar.hashChallenge(amt, body.payload.challenge)}));
    } else {
      res.end('{}');
    }
    notify();
  });
});

const until = (ok) => new Promise((resolve) => {
  const look = () => ok() && resolve();
  notify = look;
  look();
});

// call runs f and tells its result, or the fields of the SDK's exception.
const call = async (f) => {
  try {
    return {ok: await f()};
  } catch (e) {
    return {error: {name: e.name, statusCode: e.statusCode, type: e.type, code: e.code, requestId: e.requestId,
      retryAfter: e.retryAfter, message: e.message}};
  }
};

const drive = async ({origin, token, webhook, asleep}) => {
  process.env.SMARTCAR_API_ORIGIN = origin;
  process.env.SMARTCAR_MANAGEMENT_API_ORIGIN = origin;
  process.env.SMARTCAR_AUTH_ORIGIN = origin;
  const calls = {};
  calls.getUser = await call(() => smartcar.getUser(token));
  calls.getVehicles = await call(() => smartcar.getVehicles(token, {limit: 2}));
  const id = calls.getVehicles.ok.vehicles[0];
  const vehicle = new smartcar.Vehicle(id, token);
  const imperial = new smartcar.Vehicle(id, token, {unitSystem: 'imperial', flags: {country: 'DE'}});
  calls.attributes = await call(() => vehicle.attributes());
  calls.permissions = await call(() => vehicle.permissions());
  calls.battery = await call(() => vehicle.battery());
  calls.batteryImperial = await call(() => imperial.battery());
  calls.charge = await call(() => vehicle.charge());
  calls.location = await call(() => vehicle.location());
  calls.fuel = await call(() => vehicle.fuel());
  const batch = await call(() => vehicle.batch(['/battery', '/charge', '/location', '/fuel']));
  calls.batch = {};
  if (batch.error) {
    calls.batch = batch;
  } else {
    for (const name of ['battery', 'charge', 'location', 'fuel']) {
      calls.batch[name] = await call(async() => batch.ok[name]());
    }
  }
  calls.subscribe = await call(() => vehicle.subscribe(webhook));
  calls.subscribeAgain = await call(() => vehicle.subscribe(webhook));
  await until(() => received.some((r) => r.event === 'dynamic'));
  calls.unsubscribeWrong = await call(() => vehicle.unsubscribe('not-the-management-token-0123456789', webhook));
  calls.unsubscribe = await call(() => vehicle.unsubscribe(amt, webhook));
  calls.unknownWebhook = await call(() => vehicle.subscribe('00000000-0000-4000-8000-000000000000'));
  calls.badToken = await call(() => new smartcar.Vehicle(id, 'nobody').battery());
  calls.unknownVehicle = await call(() => new smartcar.Vehicle('00000000-0000-4000-8000-000000000001', token).battery());
  calls.disconnect = await call(() => vehicle.disconnect());
  calls.afterDisconnect = await call(() => vehicle.battery());
  return calls;
};

server.listen(0, '127.0.0.1', () => say({port: server.address().port}));
const lines = readline.createInterface({input: process.stdin});
lines.on('line', async(line) => {
  const message = JSON.parse(line);
  if (message.amt) {
    amt = message.amt;
  }
  if (message.key) {
    key = message.key;
  }
  if (message.newKey) {
    newKey = message.newKey;
  }
  if (message.token) {
    say({calls: await drive(message)});
  } else {
    say({noted: true});
  }
});
lines.on('close', () => {
  say({received});
  server.close();
  process.exit(0);
});
