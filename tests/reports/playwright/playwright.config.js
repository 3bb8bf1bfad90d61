// Tests of an interface, for which no browser is needed.
module.exports = {
  testDir: '.',
  retries: 2,
  workers: 2,
  timeout: 3000,
  projects: [{ name: 'one' }, { name: 'two', testMatch: /twice/ }],
  reporter: [
    ['list'],
    ['junit', { outputFile: process.env.JUNIT, includeRetries: Boolean(process.env.RETRIES), includeProjectInTestName: Boolean(process.env.RETRIES) }],
    ['playwright-ctrf-json-reporter', { outputDir: '/out', outputFile: 'report.json' }],
  ],
};
