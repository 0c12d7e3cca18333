import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { filtersProblem, matchesAny, selects } from './tag-filters.ts';

const web = { Role: 'web', Stage: 'prod' };

describe('tag filters', () => {
  test('each type looks at its own part', () => {
    assert.equal(matchesAny([{ Key: 'Role', Type: 'KEY_ONLY' }], web), true);
    assert.equal(matchesAny([{ Key: 'Role', Value: 'db', Type: 'KEY_ONLY' }], web), true);
    assert.equal(matchesAny([{ Value: 'prod', Type: 'VALUE_ONLY' }], web), true);
    assert.equal(matchesAny([{ Key: 'Role', Value: 'web', Type: 'KEY_AND_VALUE' }], web), true);
    assert.equal(matchesAny([{ Key: 'Role', Value: 'prod', Type: 'KEY_AND_VALUE' }], web), false);
    assert.equal(matchesAny([{ Key: 'role', Type: 'KEY_ONLY' }], web), false);
  });

  test('a tag without a value is a tag with an empty one', () => {
    assert.equal(matchesAny([{ Key: 'Spare', Type: 'KEY_AND_VALUE' }], { Spare: '' }), true);
  });

  test('names of object members are not tags', () => {
    assert.equal(matchesAny([{ Key: 'constructor', Type: 'KEY_ONLY' }], {}), false);
  });

  test('a list is an or, a set of lists is an and', () => {
    const role = (Value: string) => ({ Key: 'Role', Value, Type: 'KEY_AND_VALUE' as const });
    const stage = (Value: string) => ({ Key: 'Stage', Value, Type: 'KEY_AND_VALUE' as const });
    assert.equal(selects({ onPremisesInstanceTagFilters: [role('db'), role('web')] }, web), true);
    assert.equal(selects({ onPremisesTagSet: { onPremisesTagSetList: [[role('db'), role('web')], [stage('prod')]] } }, web), true);
    assert.equal(selects({ onPremisesTagSet: { onPremisesTagSetList: [[role('web')], [stage('test')]] } }, web), false);
  });

  test('no filters, or filters of EC2 only, select nothing', () => {
    assert.equal(selects({}, web), false);
    assert.equal(selects({ onPremisesInstanceTagFilters: [], onPremisesTagSet: { onPremisesTagSetList: [] } }, web), false);
    assert.equal(selects({ ec2TagFilters: [{ Key: 'Role', Type: 'KEY_ONLY' }] }, web), false);
  });

  test('filters that can mean nothing are refused', () => {
    assert.match(filtersProblem([{ Type: 'KEY_ONLY' }])!, /key/);
    assert.match(filtersProblem([{ Type: 'KEY_AND_VALUE', Value: 'x' }])!, /key/);
    assert.match(filtersProblem([{ Type: 'VALUE_ONLY' }])!, /value/);
    assert.match(filtersProblem(Array.from({ length: 11 }, () => ({ Key: 'a', Type: 'KEY_ONLY' as const })))!, /up to 10/);
    assert.equal(filtersProblem([{ Key: 'a', Type: 'KEY_ONLY' }]), undefined);
  });
});
