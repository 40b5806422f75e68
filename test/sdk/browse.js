'use strict';
// Goes through plugbeat's pages in Chromium as an owner does. Usage: node browse.js CHROMIUM FOLDER; standard input holds one JSON object,
// {authorize, code, deny, attacker}; it prints what it saw as one JSON object, and leaves screenshots in the folder.
const path = require('path');
const {chromium} = require('playwright-core');

const main = async(settings) => {
  const browser = await chromium.launch({executablePath: process.argv[2], args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server']});
  const context = await browser.newContext({viewport: {width: 480, height: 720}, colorScheme: settings.dark ? 'dark' : 'light'});
  const page = await context.newPage();
  const saw = {violations: [], requests: []};
  page.on('console', (m) => m.type() === 'error' && saw.violations.push(m.text()));
  page.on('request', (r) => saw.requests.push(r.method() + ' ' + new URL(r.url()).origin));
  const shot = (name) => page.screenshot({path: path.join(process.argv[3], name + '.png')});
  await page.goto(settings.authorize);
  saw.first = await page.innerText('main');
  await shot('1-code');
  await page.fill('#code', 'wrong');
  await page.click('text=Continue');
  saw.wrong = await page.innerText('[role=alert]');
  await shot('2-wrong');
  await page.keyboard.type(settings.code.toLowerCase()); // the field has the focus
  await page.keyboard.press('Enter');
  await page.waitForSelector('input[type=checkbox]');
  saw.second = await page.innerText('main');
  await shot('3-consent');
  await page.locator('input[type=checkbox]').first().uncheck();
  await page.click(settings.deny ? 'text=Deny' : 'text=Allow');
  await page.waitForURL(/exchange/);
  saw.back = page.url();
  await shot('4-back');
  const violations = saw.violations.length;
  await page.goto(settings.attacker); // a page elsewhere with the first page in a frame
  const frame = page.frames().find((f) => f !== page.mainFrame());
  saw.framed = frame ? (await frame.content()).includes('One-time code') : false;
  saw.violations = saw.violations.slice(0, violations);
  await browser.close();
  process.stdout.write(JSON.stringify(saw));
};

let text = '';
process.stdin.on('data', (b) => { text += b; }).on('end', () => main(JSON.parse(text)).catch((e) => {
  process.stderr.write(String(e) + '\n');
  process.exit(1);
}));
