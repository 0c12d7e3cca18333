import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventTime } from './events.ts';
import { logsOf, parseBuildId, parseBuildRef, projectNameOf } from './names.ts';
import { isInline, repositoryOf } from './rules.ts';

const place = { account: '111122223333', region: 'eu-west-1' };
const id = '0a1b2c3d-0000-4000-8000-000000000000';

test('build ids by name and ARN, and nothing else', () => {
  const build = { ...place, project: 'app', id };
  assert.deepEqual(parseBuildId(place, `app:${id}`), build);
  assert.deepEqual(parseBuildId(place, `arn:aws:codebuild:eu-west-1:111122223333:build/app:${id}`), build);
  for (const bad of ['app', id, `app:${id}:x`, `:${id}`, 'app:xyz', `arn:aws:codebuild:us-east-1:111122223333:build/app:${id}`]) {
    assert.equal(parseBuildId(place, bad), undefined, bad);
  }
});

test("another account's builds by ARN, where they may be", () => {
  const arn = `arn:aws:codebuild:eu-west-1:999999999999:build/app:${id}`;
  assert.equal(parseBuildId(place, arn), undefined);
  assert.deepEqual(parseBuildRef(place, arn), { ...place, account: '999999999999', project: 'app', id });
});

test('projects by name and ARN of this account and region', () => {
  assert.equal(projectNameOf(place, 'app'), 'app');
  assert.equal(projectNameOf(place, 'arn:aws:codebuild:eu-west-1:111122223333:project/app'), 'app');
  assert.notEqual(projectNameOf(place, 'arn:aws:codebuild:eu-west-1:999999999999:project/app'), 'app');
});

test('logs lie in the group of the project unless told otherwise', () => {
  const build = { project: 'app', id };
  assert.deepEqual(logsOf(build, undefined), { groupName: '/aws/codebuild/app', streamName: id });
  assert.deepEqual(logsOf(build, { cloudWatchLogs: { status: 'ENABLED', groupName: 'g', streamName: 's' } }), {
    groupName: 'g',
    streamName: `s/${id}`,
  });
  assert.equal(logsOf(build, { cloudWatchLogs: { status: 'DISABLED' } }), undefined);
});

test('times of events are those of the user guide’s samples', () => {
  assert.equal(eventTime('2017-09-01T16:12:29.123Z'), 'Sep 1, 2017 4:12:29 PM');
  assert.equal(eventTime(new Date('2026-11-22T00:05:09Z')), 'Nov 22, 2026 12:05:09 AM');
});

test('an inline buildspec is told from a path', () => {
  assert.ok(isInline('version: 0.2\nphases: {}'));
  assert.ok(isInline('{"version": 0.2}'));
  assert.ok(!isInline('ci/build spec.yml'));
});

test('repositories by their clone URLs', () => {
  assert.equal(repositoryOf('https://git-codecommit.us-east-1.amazonaws.com/v1/repos/my.app-1'), 'my.app-1');
  assert.equal(repositoryOf('http://127.0.0.1:4600/v1/repos/app'), 'app');
  for (const bad of ['app', 'ssh://x/v1/repos/app', 'https://x/v1/repos/', 'https://x/v1/repos/a/b'])
    assert.equal(repositoryOf(bad), undefined);
});
