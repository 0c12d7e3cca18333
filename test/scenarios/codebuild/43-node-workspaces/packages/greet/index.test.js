require('node:test')('greets', () => require('node:assert').equal(require('.')('you'), 'hello you'));
