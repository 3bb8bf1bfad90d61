// A test of every status that Jest knows.
let tries = 0;
test('passes', () => {});
test('fails', () => expect({ a: 1, b: '<not> & "equal"' }).toEqual({ a: 2 }));
test('throws', () => { throw new TypeError('no assertion ]]> \u001b[31mred\u001b[0m'); });
test.skip('is skipped', () => {});
test.todo('is to be done');
test.failing('is expected to fail', () => expect(1).toBe(2));
test.failing('is expected to fail and passes', () => {});
test('takes too long', () => new Promise(() => {}), 50);
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
describe('tried again', () => {
  jest.retryTimes(2);
  it('is flaky', () => { tries += 1; expect(tries).toBe(3); });
  it('fails each time', () => expect(1).toBe(2));
});
