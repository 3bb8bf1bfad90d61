// A test of every status that Vitest knows.
import { beforeAll, describe, expect, it, test } from 'vitest';

let tries = 0;
test('passes', () => console.log('a line <&> ]]>'));
test('fails', () => expect({ a: 1 }, '<not> & "equal"').toEqual({ a: 2 }));
test('throws', () => { throw new TypeError('no assertion \u001b[31mred\u001b[0m'); });
test('is flaky', { retry: 2 }, () => { tries += 1; expect(tries).toBe(3); });
test('fails each time', { retry: 1 }, () => expect(1).toBe(2));
test('is repeated', { repeats: 2 }, () => {});
test.skip('is skipped', () => {});
test('skips itself', (context) => context.skip('no such device'));
test.todo('is to be done');
test.fails('is expected to fail', () => expect(1).toBe(2));
test.fails('is expected to fail and passes', () => {});
test('takes too long', { timeout: 50 }, () => new Promise(() => {}));
test('same', () => {});
test('same', () => {});
test.each([[1, 'a'], [2, 'b > c'], [3, '"d" <e>']])('parametrised %i %s', (number) => expect(number).toBeLessThan(3));
describe('a suite', () => {
  it('passes', () => {});
  describe('inside', () => it('passes', () => {}));
  describe.skip('skipped', () => it('never runs', () => {}));
});
describe('a suite whose hook fails', () => {
  beforeAll(() => { throw new Error('hook'); });
  it('never runs', () => {});
});
