import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AwsError } from '../../../platform/errors.ts';
import type { WebhookEvent } from './event.ts';
import { NOTHING } from './events/fields.ts';
import { checkFilters, passesFilters } from './filters.ts';
import type { WebhookDefinition } from './tables.ts';

type Type = NonNullable<WebhookDefinition['filterGroups']>[number][number]['type'];
/** `!` in front of the pattern: excludeMatchedPattern. */
type Filter = [type: Type, pattern: string];

function group(...filters: Filter[]) {
  return filters.map(([type, pattern]) => {
    const exclude = pattern.startsWith('!');
    return { type, pattern: exclude ? pattern.slice(1) : pattern, ...(exclude ? { excludeMatchedPattern: true } : {}) };
  });
}

const push: WebhookEvent = {
  ...NOTHING,
  type: 'PUSH',
  actor: '583231',
  headRef: 'refs/heads/main',
  trigger: 'branch/main',
  sourceVersion: '1',
  repository: 'acme/tools/app',
};
const files = ['src/page.ts', 'docs/a.md'];
const pull: WebhookEvent = { ...push, type: 'PULL_REQUEST_UPDATED', headRef: 'refs/heads/feature/x', baseRef: 'refs/heads/main' };
const release: WebhookEvent = { ...push, type: 'RELEASED', headRef: 'refs/tags/v1.2', tag: 'v1.2', release: 'The second' };

async function passes(definition: WebhookDefinition, event: WebhookEvent): Promise<boolean> {
  const lookups = { files: async () => files, message: async () => 'Change the page [CodeBuild]' };
  checkFilters(definition);
  return passesFilters(definition, event, lookups);
}

const cases: [why: string, event: WebhookEvent, expected: boolean, ...groups: Filter[][]][] = [
  ['one of several events', push, true, [['EVENT', 'PULL_REQUEST_CREATED, PUSH']]],
  ['another event', push, false, [['EVENT', 'PULL_REQUEST_CREATED,PULL_REQUEST_UPDATED']]],
  ['every event but one', push, false, [['EVENT', '!PUSH']]],
  ['an account', push, true, [['EVENT', 'PUSH'], ['ACTOR_ACCOUNT_ID', '^583231$']]], // biome-ignore format: one line
  ['another account', push, false, [['EVENT', 'PUSH'], ['ACTOR_ACCOUNT_ID', '^58323$']]], // biome-ignore format: one line
  ['any account but this', push, false, [['EVENT', 'PUSH'], ['ACTOR_ACCOUNT_ID', '!583231']]], // biome-ignore format: one line
  ['a part of the reference', push, true, [['EVENT', 'PUSH'], ['HEAD_REF', '^refs/heads/']]], // biome-ignore format: one line
  ['the head of a pull request', pull, true, [['EVENT', 'PULL_REQUEST_UPDATED'], ['HEAD_REF', '^refs/heads/feature/']]], // biome-ignore format: one line
  ['no tags', push, true, [['EVENT', 'PUSH'], ['HEAD_REF', '!^refs/tags/.*']]], // biome-ignore format: one line
  ['the base of a pull request', pull, true, [['EVENT', 'PULL_REQUEST_UPDATED'], ['BASE_REF', '^refs/heads/main$']]], // biome-ignore format: one line
  ['a push has no base', push, false, [['EVENT', 'PUSH'], ['BASE_REF', 'main']]], // biome-ignore format: one line
  ['so it is not the one that is excluded', push, true, [['EVENT', 'PUSH'], ['BASE_REF', '!main']]], // biome-ignore format: one line
  ['one of the files', push, true, [['EVENT', 'PUSH'], ['FILE_PATH', '^docs/']]], // biome-ignore format: one line
  ['none of the files', push, false, [['EVENT', 'PUSH'], ['FILE_PATH', '^test/']]], // biome-ignore format: one line
  ['one file that is excluded', push, false, [['EVENT', 'PUSH'], ['FILE_PATH', '!^docs/']]], // biome-ignore format: one line
  ['the message', pull, true, [['EVENT', 'PULL_REQUEST_UPDATED'], ['COMMIT_MESSAGE', '\\[CodeBuild\\]']]], // biome-ignore format: one line
  ['not this message', pull, false, [['EVENT', 'PULL_REQUEST_UPDATED'], ['COMMIT_MESSAGE', '!\\[CodeBuild\\]']]], // biome-ignore format: one line
  ['the tag of a release', release, true, [['EVENT', 'RELEASED'], ['TAG_NAME', '^v\\d']]], // biome-ignore format: one line
  ['a push has no tag name', push, false, [['EVENT', 'PUSH'], ['TAG_NAME', '.']]], // biome-ignore format: one line
  ['the name of a release', release, false, [['EVENT', 'RELEASED'], ['RELEASE_NAME', '^First']]], // biome-ignore format: one line
  ['the name of the repository', push, true, [['EVENT', 'PUSH'], ['REPOSITORY_NAME', '^app$']]], // biome-ignore format: one line
  ['its organization', push, true, [['EVENT', 'PUSH'], ['ORGANIZATION_NAME', '^acme/tools$']]], // biome-ignore format: one line
  ['a release has no files', release, false, [['EVENT', 'RELEASED'], ['FILE_PATH', '.']]], // biome-ignore format: one line
  ['all filters of a group', push, false, [['EVENT', 'PUSH'], ['HEAD_REF', 'main'], ['ACTOR_ACCOUNT_ID', '^1$']]], // biome-ignore format: one line
  ['one group of several', push, true, [['EVENT', 'RELEASED']], [['EVENT', 'PUSH'], ['HEAD_REF', 'main$']]], // biome-ignore format: one line
];

for (const [why, event, expected, ...groups] of cases) {
  test(`filters: ${why}`, async () => {
    assert.equal(await passes({ filterGroups: groups.map((filters) => group(...filters)) }, event), expected);
  });
}

test('without filters whatever brings commits is built, with a branch filter only that of matching branches', async () => {
  assert.equal(await passes({}, push), true);
  assert.equal(await passes({ filterGroups: [] }, pull), true);
  assert.equal(await passes({}, { ...pull, type: 'PULL_REQUEST_MERGED' }), false);
  assert.equal(await passes({}, release), false);
  assert.equal(await passes({ branchFilter: '^main$' }, push), true);
  assert.equal(await passes({ branchFilter: '^main$' }, pull), false);
});

test('the provider is asked only when everything else lets the event through', async () => {
  const never = () => assert.fail('it was asked');
  const filters = group(['FILE_PATH', 'x'], ['COMMIT_MESSAGE', 'x'], ['EVENT', 'PUSH'], ['HEAD_REF', 'other']);
  assert.equal(await passesFilters({ filterGroups: [filters] }, push, { files: never, message: never }), false);
});

test('an expression takes linear time, whatever it is matched against', async () => {
  const filters = group(['EVENT', 'PUSH'], ['HEAD_REF', '^(a+)+$']);
  assert.equal(await passes({ filterGroups: [filters] }, { ...push, headRef: `${'a'.repeat(50_000)}!` }), false);
});

const wrong: [why: string, definition: WebhookDefinition, message: RegExp][] = [
  ['no event', { filterGroups: [group(['HEAD_REF', 'x'])] }, /must have a filter of type EVENT/],
  ['an empty group', { filterGroups: [[]] }, /must have a filter of type EVENT/],
  ['an unknown event', { filterGroups: [group(['EVENT', 'PUSH, PULL'])] }, /PULL is not a type of event/],
  ['no regular expression', { filterGroups: [group(['EVENT', 'PUSH'], ['HEAD_REF', '('])] }, /is not a regular expression/],
  ['a back reference', { filterGroups: [group(['EVENT', 'PUSH'], ['HEAD_REF', '(a)\\1'])] }, /is not a regular expression/],
  ['an endless pattern', { filterGroups: [group(['EVENT', 'PUSH'], ['HEAD_REF', 'a'.repeat(1025)])] }, /more than 1024 characters/],
  ['runners', { filterGroups: [group(['EVENT', 'WORKFLOW_JOB_QUEUED'])] }, /runners/],
  ['workflows', { filterGroups: [group(['EVENT', 'PUSH'], ['WORKFLOW_NAME', 'x'])] }, /runners/],
  ['both kinds', { branchFilter: 'x', filterGroups: [group(['EVENT', 'PUSH'])] }, /cannot be used together/],
  ['a branch filter that is none', { branchFilter: '[' }, /is not a regular expression/],
];
for (const [why, definition, message] of wrong) {
  test(`refused: ${why}`, () => {
    assert.throws(
      () => checkFilters(definition),
      (error) => error instanceof AwsError && error.code === 'InvalidInputException' && message.test(error.message),
    );
  });
}
