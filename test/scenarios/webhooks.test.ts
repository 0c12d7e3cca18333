/** Deliveries of git providers as their documentation describes them (`webhooks/NAME/payload.json`), and what they mean to CodeBuild. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { ServerType } from '../../src/devtools/codebuild/providers/provider.ts';
import { BadPayload, readDelivery } from '../../src/devtools/codebuild/webhooks/event.ts';

interface Expected {
  provider: ServerType;
  event: string;
  ignored?: string;
  approval?: object;
  /** Only the fields to look at; null where the provider has to be asked. */
  builds?: Record<string, unknown>[];
}

const folder = path.join(import.meta.dirname, 'webhooks');
const headers: Record<string, string> = { GITHUB: 'x-github-event', GITHUB_ENTERPRISE: 'x-github-event', BITBUCKET: 'x-event-key' };

for (const name of readdirSync(folder)) {
  test(name, () => {
    const expected = parse(readFileSync(path.join(folder, name, 'expected.yml'), 'utf8')) as Expected;
    const payload = JSON.parse(readFileSync(path.join(folder, name, 'payload.json'), 'utf8'));
    const delivery = readDelivery(expected.provider, { [headers[expected.provider] ?? 'x-gitlab-event']: expected.event }, payload);
    if ('ignored' in delivery) return assert.equal(delivery.ignored, expected.ignored);
    if ('approval' in delivery) {
      const { pullRequest, commit, by } = delivery.approval;
      return assert.deepEqual({ pullRequest, commit, by }, expected.approval);
    }
    const told = delivery.events.map((event, index) => {
      const wanted = Object.keys(expected.builds?.[index] ?? {});
      return Object.fromEntries(wanted.map((field) => [field, (event as unknown as Record<string, unknown>)[field] ?? null]));
    });
    assert.deepEqual(told, expected.builds);
  });
}

test('payloads of other shapes are refused or start nothing, and never fail otherwise', () => {
  const kinds: [ServerType, string, string][] = [
    ['GITHUB', 'x-github-event', 'push'],
    ['GITHUB', 'x-github-event', 'pull_request'],
    ['GITHUB', 'x-github-event', 'release'],
    ['GITHUB', 'x-github-event', 'issue_comment'],
    ['GITLAB', 'x-gitlab-event', 'Note Hook'],
    ['BITBUCKET', 'x-event-key', 'pullrequest:comment_created'],
    ['GITLAB', 'x-gitlab-event', 'Push Hook'],
    ['GITLAB', 'x-gitlab-event', 'Merge Request Hook'],
    ['GITLAB', 'x-gitlab-event', 'Release Hook'],
    ['BITBUCKET', 'x-event-key', 'repo:push'],
    ['BITBUCKET', 'x-event-key', 'pullrequest:created'],
  ];
  const shapes = [{}, { push: { changes: 'x' } }, { push: { changes: [null, 1, { new: [] }] } }, { pull_request: [], action: {} }, { ref: {}, after: 1, commits: {} }, { pullrequest: null }, { object_attributes: 'x' }, JSON.parse('{"__proto__": {"ref": "refs/heads/x"}}')]; // biome-ignore format: one line
  for (const [provider, name, kind] of kinds) {
    for (const shape of shapes) assert.ok('ignored' in readDelivery(provider, { [name]: kind }, shape), `${kind} ${JSON.stringify(shape)}`);
    for (const shape of [null, [], 'text', 1]) assert.throws(() => readDelivery(provider, { [name]: kind }, shape), BadPayload);
  }
});
