// A test of every status that Playwright knows.
const http = require('node:http');
const { test, expect } = require('@playwright/test');

let server;
test.beforeAll(async () => {
  server = http.createServer((_, answer) => answer.end('{"ok":true}'));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
});
test.afterAll(() => server.close());

test('passes', async ({ request }) => {
  const answer = await request.get(`http://127.0.0.1:${server.address().port}/`);
  expect(await answer.json()).toEqual({ ok: true });
  console.log('a line');
});
test('fails @smoke', async () => {
  await test.step('a step', async () => expect({ a: 1 }, '<not> & "equal"').toEqual({ a: 2 }));
});
test('throws', () => { throw new Error('no assertion ]]> \u001b[31mred\u001b[0m'); });
test('fails softly', () => { expect.soft(1).toBe(2); expect.soft(3).toBe(4); });
test('is flaky', ({}, info) => { console.log('try', info.retry); expect(info.retry).toBe(2); });
test('takes too long', async () => { test.setTimeout(100); await new Promise(() => {}); });
test.skip('is skipped', () => {});
test('skips itself', () => test.skip(true, 'no such device'));
test.fixme('is to be fixed', () => {});
test.fail('is expected to fail', () => expect(1).toBe(2));
test('is expected to fail and passes', () => test.fail());
test('has attachments', async ({}, info) => {
  await info.attach('note', { body: 'text', contentType: 'text/plain' });
  info.annotations.push({ type: 'issue', description: 'X-17' });
});
test.describe('a group', () => {
  test('passes', () => {});
  test.describe('inside', () => test('passes', () => {}));
});
test.describe.serial('one after the other', () => {
  test('fails', () => expect(1).toBe(2));
  test('never runs', () => {});
});
