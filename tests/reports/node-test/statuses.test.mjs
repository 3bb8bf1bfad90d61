// A test of every status that node:test knows.
import assert from 'node:assert';
import { describe, it, test } from 'node:test';

test('passes', () => console.log('a line'));
test('fails', () => assert.deepStrictEqual({ a: 1 }, { a: 2 }, '<not> & "equal" \u2603'));
test('throws', () => { throw new TypeError('no assertion'); });
test('throws no error', () => { throw 'a string'; });
test('is skipped', { skip: true }, () => {});
test('is skipped for a reason', { skip: 'not # now' }, () => {});
test('skips itself', (t) => t.skip('no such device'));
test('is to be done and fails', { todo: true }, () => assert.fail('not yet'));
test('is to be done and passes', { todo: 'soon' }, () => {});
test('# a name with \\ and # SKIP <&> "quotes"', () => {});
test('a name\nof two lines', () => {});
test('same', () => {});
test('same', () => {});
test('takes too long', { timeout: 50 }, () => new Promise((done) => setTimeout(done, 500)));
test('has subtests', async (t) => {
  await t.test('passes', () => {});
  await t.test('fails', () => assert.ok(false));
  await t.test('deeper', async (t) => t.test('still', () => {}));
});
describe('a suite', () => {
  it('passes', () => {});
  it('fails', () => assert.strictEqual(1, 2));
  describe('inside', () => {
    it('passes', () => {});
    it.skip('is skipped', () => {});
    it.todo('is to be done');
  });
  describe('empty', () => {});
});
describe.skip('a skipped suite', () => it('never runs', () => {}));
describe('a suite whose hook fails', async () => {
  const { before } = await import('node:test');
  before(() => { throw new Error('hook'); });
  it('is cancelled', () => {});
});
