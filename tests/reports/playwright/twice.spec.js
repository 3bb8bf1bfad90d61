// Runs in two projects.
const { test, expect } = require('@playwright/test');

for (const name of ['a', 'b › c', 'd "e" <f>']) {
  test(`parametrised ${name}`, () => {});
}
test('depends on the project', ({}, info) => expect(info.project.name).toBe('one'));
