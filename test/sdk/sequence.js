'use strict';
// Goes the whole way of an application with the published Smartcar SDK: Connect, code, tokens, vehicles, reads, batch, webhooks,
// management, disconnection, and the errors in between. Usage: node sequence.js smartcar-9|smartcar-10
// Standard input holds JSON lines: {origin, clientId, clientSecret, redirectUri, amt, webhook}, answered by {authUrls}, then {code, denied},
// answered by {calls}.
const readline = require('readline');
const smartcar = require(process.argv[2]);

const say = (o) => process.stdout.write(JSON.stringify(o) + '\n');

// call runs f and tells its result, or the fields of the SDK's exception.
const call = async(f) => {
  try {
    return {ok: await f()};
  } catch (e) {
    return {error: {name: e.name, statusCode: e.statusCode, type: e.type, code: e.code, requestId: e.requestId,
      retryAfter: e.retryAfter, resolution: e.resolution, docURL: e.docURL, message: e.message}};
  }
};

let settings = null;
let client = null;

const run = async({code}) => {
  const {amt, webhook, clientId, clientSecret, redirectUri} = settings;
  const calls = {};
  const at = async(name, f) => {
    calls[name] = await call(f);
    return calls[name].ok;
  };
  await at('wrongCode', () => client.exchangeCode('00000000-0000-4000-8000-000000000000'));
  await at('wrongSecret', () => new smartcar.AuthClient({clientId, clientSecret: 'wrong', redirectUri, mode: 'simulated'}).exchangeCode(code));
  await at('wrongRedirect', () => new smartcar.AuthClient({clientId, clientSecret, redirectUri: redirectUri + '/x', mode: 'simulated'}).exchangeCode(code));
  const first = await at('exchangeCode', () => client.exchangeCode(code));
  const second = await at('exchangeRefreshToken', () => client.exchangeRefreshToken(first.refreshToken, {flags: {country: 'DE'}}));
  await at('refreshInGrace', () => client.exchangeRefreshToken(first.refreshToken));
  await at('wrongRefresh', () => client.exchangeRefreshToken('nobody'));
  const token = second.accessToken;
  const user = await at('getUser', () => smartcar.getUser(token));
  await at('getUserOldToken', () => smartcar.getUser(first.accessToken));
  await at('badToken', () => smartcar.getUser('nobody'));
  const all = await at('getVehicles', () => smartcar.getVehicles(token));
  await at('getVehiclesPage', () => smartcar.getVehicles(token, {limit: 1, offset: 1}));
  await at('getVehiclesWrong', () => smartcar.getVehicles(token, {limit: 0}));
  const [well, limited, asleep] = all.vehicles.map((id) => new smartcar.Vehicle(id, token));
  const imperial = new smartcar.Vehicle(all.vehicles[0], token, {unitSystem: 'imperial', flags: {country: 'DE'}});
  await at('attributes', () => well.attributes());
  await at('permissions', () => well.permissions());
  await at('permissionsPage', () => well.permissions({limit: 1, offset: 1}));
  await at('battery', () => well.battery());
  await at('batteryImperial', () => imperial.battery());
  await at('charge', () => well.charge());
  await at('location', () => well.location());
  for (const name of ['odometer', 'vin', 'batteryCapacity', 'nominalCapacity', 'getChargeLimit']) {
    if (typeof well[name] === 'function') {
      await at('extra.' + name, () => well[name]());
    }
  }
  await at('extra.odometerImperial', () => imperial.odometer());
  for (const name of ['fuel', 'engineOil', 'tirePressure', 'lockStatus']) {
    if (typeof well[name] === 'function') {
      await at('no.' + name, () => well[name]());
    }
  }
  for (const [name, f] of [['startCharge', (v) => v.startCharge()], ['stopCharge', (v) => v.stopCharge()], ['setChargeLimit', (v) => v.setChargeLimit(0.8)], ['lock', (v) => v.lock()], ['unlock', (v) => v.unlock()]]) {
    await at('no.' + name, () => f(well));
  }
  await at('limited', () => limited.charge());
  await at('asleep', () => asleep.battery());
  const batch = await at('batchCall', () => well.batch(['/battery', '/charge', '/location', '/odometer', '/']));
  for (const name of ['battery', 'charge', 'location', 'odometer', 'attributes']) {
    await at('batch.' + name, async() => batch[name]());
  }
  const failing = await at('batchOfAsleep', () => asleep.batch(['/battery', '/location']));
  for (const name of ['battery', 'location']) {
    await at('batchOfAsleep.' + name, async() => failing[name]());
  }
  await at('batchWrong', () => well.batch(['/nowhere']));
  await at('subscribe', () => well.subscribe(webhook));
  await at('subscribeAgain', () => well.subscribe(webhook));
  await at('subscribeNowhere', () => well.subscribe('00000000-0000-4000-8000-000000000000'));
  await at('unsubscribeWrong', () => well.unsubscribe('not-the-management-token-0123456789', webhook));
  await at('unsubscribe', () => well.unsubscribe(amt, webhook));
  await at('othersVehicle', () => new smartcar.Vehicle('00000000-0000-4000-8000-000000000001', token).battery());
  await at('compatibility', () => smartcar.getCompatibility('5YJSA1CN5DFP00101', ['read_charge'], 'DE', {clientId, clientSecret}));
  await at('getConnectionsWrong', () => smartcar.getConnections('wrong'));
  const page = await at('getConnections', () => smartcar.getConnections(amt, {}, {limit: 2}));
  await at('getConnectionsNext', () => smartcar.getConnections(amt, {}, {limit: 2, cursor: page.paging.cursor}));
  await at('getConnectionsOfUser', () => smartcar.getConnections(amt, {userId: user.id}));
  await at('getConnectionsOfVehicle', () => smartcar.getConnections(amt, {vehicleId: all.vehicles[0]}));
  await at('disconnect', () => well.disconnect());
  await at('afterDisconnect', () => well.battery());
  await at('deleteConnections', () => smartcar.deleteConnections(amt, {vehicleId: all.vehicles[1]}));
  await at('deleteConnectionsOfUser', () => smartcar.deleteConnections(amt, {userId: user.id}));
  await at('deleteConnectionsWrong', () => smartcar.deleteConnections(amt, {}));
  await at('getVehiclesAfter', () => smartcar.getVehicles(token));
  await at('codeAgain', () => client.exchangeCode(code));
  await at('revoked', () => smartcar.getUser(token));
  await at('revokedRefresh', () => client.exchangeRefreshToken(second.refreshToken));
  return calls;
};

readline.createInterface({input: process.stdin}).on('line', async(line) => {
  const message = JSON.parse(line);
  if (message.code) {
    say({calls: await run(message)});
    return;
  }
  settings = message;
  for (const name of ['API', 'AUTH', 'MANAGEMENT_API', 'CONNECT']) {
    process.env[`SMARTCAR_${name}_ORIGIN`] = settings.origin;
  }
  client = new smartcar.AuthClient({clientId: settings.clientId, clientSecret: settings.clientSecret, redirectUri: settings.redirectUri, mode: 'simulated'});
  const scope = ['required:read_vehicle_info', 'read_charge', 'read_battery', 'read_location', 'read_odometer', 'read_vin'];
  say({authUrls: [client.getAuthUrl(scope, {state: 'of the app', forcePrompt: true, user: 'u-1', flags: {country: 'DE'}}), client.getAuthUrl(scope, {state: 'again'})]});
}).on('close', () => process.exit(0));
