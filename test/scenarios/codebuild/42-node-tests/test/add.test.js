const test = require('node:test');
const assert = require('node:assert');
const add = require('../src/add.js');
test('adds', () => assert.equal(add(2, 3), 5));
