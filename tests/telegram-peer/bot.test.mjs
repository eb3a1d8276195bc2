// People and a bot meet at a Bot API that others wrote; callers use the gateway as they do.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import TelegramServer from 'telegram-test-api';

const BOT_TOKEN = '123456789:AAExample-token_of_a_bot';
const directory = `${process.env.SCRATCH}/gateway`;
let telegram;
let gateway;
let base;
let token;

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

const chappe = (...args) => execFileSync(process.env.CHAPPE, args, { cwd: directory, encoding: 'utf8' });

before(async () => {
  const port = await freePort();
  telegram = new TelegramServer({ port, host: '127.0.0.1' });
  await telegram.start();
  mkdirSync(directory);
  writeFileSync(`${directory}/key`, chappe('key', 'generate'), { mode: 0o600 });
  const bot = (name, reveal) =>
    `[channels.${name}]\nkind = "telegram"\ntoken = "${BOT_TOKEN}${name}"\nbase_url = "http://127.0.0.1:${port}"\nreveal = ${reveal}\n`;
  writeFileSync(
    `${directory}/chappe.toml`,
    `listen = "127.0.0.1:0"\ndata = "data"\nkey_file = "key"\ndrain_s = 0\ntrusted_proxies = ["127.0.0.1"]\n` +
      `[routes]\nlive = ["shown", "hidden"]\n${bot('shown', false)}${bot('hidden', true)}`,
  );
  chappe('account', 'create', 'shop');
  chappe('credit', 'shop', '10');
  token = JSON.parse(chappe('token', 'create', 'shop', '--json')).token;
  gateway = spawn(process.env.CHAPPE, ['serve'], { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  base = await new Promise((resolve, reject) => {
    let told = '';
    gateway.once('exit', () => reject(new Error('the gateway stopped before it was ready')));
    gateway.stdout.on('data', (chunk) => {
      told += chunk;
      const ready = /^ready (http:\S+)$/m.exec(told);
      if (ready) resolve(ready[1]);
    });
  });
});

after(async () => {
  if (gateway && gateway.exitCode === null) {
    const ended = new Promise((resolve) => gateway.once('exit', resolve));
    gateway.kill('SIGTERM');
    await ended;
  }
  await telegram?.stop();
});

const call = async (method, parameters) => {
  const answer = await fetch(`${base}/${method}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1' },
    body: JSON.stringify(parameters),
  });
  return answer.json();
};

// The next message of the bot to a person.
const hears = async (person) => {
  const { result } = await person.getUpdates();
  assert.equal(result.length, 1, JSON.stringify(result));
  return { id: result[0].messageId, ...result[0].message };
};

// Waits for a delivery status.
const reaches = async (request_id, wanted) => {
  for (let tries = 0; tries < 200; tries += 1) {
    const { result } = await call('checkVerificationStatus', { request_id });
    if (result.delivery_status.status === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail(`${request_id} is not ${wanted}`);
};

const subscribe = async (person, id, phone_number) => {
  await person.sendCommand(person.makeCommand('/start'));
  const welcome = await hears(person);
  assert.equal(welcome.reply_markup.keyboard[0][0].request_contact, true);
  await person.sendMessage(person.makeMessage('', { contact: { phone_number, user_id: id, first_name: 'Ann' } }));
  assert.match((await hears(person)).text, /Done/);
};

const person = (bot, id) =>
  telegram.getClient(`${BOT_TOKEN}${bot}`, { userId: id, chatId: id, timeout: 10_000, interval: 20 });

test('a code arrives, is verified, and goes when it is revoked', async () => {
  const ann = person('shown', 42);
  const phone_number = '+391234567890';
  assert.equal((await call('sendVerificationMessage', { phone_number })).error, 'CODE_LENGTH_REQUIRED');
  assert.equal((await call('sendVerificationMessage', { phone_number, code: '4821' })).error, 'PHONE_NUMBER_NOT_AVAILABLE');
  await subscribe(ann, 42, '391234567890');
  const { result } = await call('sendVerificationMessage', { phone_number, code: '4821' });
  const message = await hears(ann);
  assert.match(message.text, /<code>4821<\/code>/);
  assert.equal(message.reply_markup.inline_keyboard[0][0].copy_text.text, '4821');
  await reaches(result.request_id, 'delivered');
  const checked = await call('checkVerificationStatus', { request_id: result.request_id, code: '4821' });
  assert.equal(checked.result.verification_status.status, 'code_valid');

  const again = await call('sendVerificationMessage', { phone_number, code: '9137' });
  const second = await hears(ann);
  await reaches(again.result.request_id, 'delivered');
  await call('revokeVerificationMessage', { request_id: again.result.request_id });
  for (let tries = 0; telegram.storage.botMessages.some(({ messageId }) => messageId === second.id); tries += 1) {
    assert.ok(tries < 200, 'the message was not deleted');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  await ann.sendCommand(ann.makeCommand('/stop'));
  await hears(ann);
  assert.equal((await call('sendVerificationMessage', { phone_number, code: '4821' })).error, 'PHONE_NUMBER_NOT_AVAILABLE');
});

test('a code behind a button is read when it is opened', async () => {
  const ben = person('hidden', 43);
  await subscribe(ben, 43, '+391234567891');
  const { result } = await call('sendVerificationMessage', { phone_number: '+391234567891', code: '7305' });
  const message = await hears(ben);
  assert.ok(!JSON.stringify(message).includes('7305'));
  await reaches(result.request_id, 'delivered');
  const edited = telegram.waitBotEdits();
  const { callback_data } = message.reply_markup.inline_keyboard[0][0];
  await ben.sendCallback(ben.makeCallbackQuery(callback_data, { message: { message_id: message.id } }));
  await edited;
  await reaches(result.request_id, 'read');
  const shown = telegram.storage.botMessages.find(({ messageId }) => messageId === message.id);
  assert.match(shown.message.text, /<code>7305<\/code>/);
});
