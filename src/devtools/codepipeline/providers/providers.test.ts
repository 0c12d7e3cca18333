/** What providers do when their first answer was lost: the process ended between the start of the work and the record of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ActionRunRow } from '../tables.ts';
import { codebuild } from './codebuild.ts';
import { codedeploy } from './codedeploy.ts';
import type { ActionJob } from './provider.ts';

const STARTED = new Date('2026-01-01T00:00:00Z');

function jobOf(run: Partial<ActionRunRow>, clients: object, now = STARTED): ActionJob {
  const begun: Partial<ActionRunRow> = { id: 'run-1', begun: true, external_id: null, started_at: STARTED, updated_at: STARTED };
  const artifact = { name: 'Built', bucket: 'artifacts', key: 'p/Built/x' };
  return {
    clients,
    run: { ...begun, input_artifacts: [artifact], output_artifacts: [], ...run },
    configuration: { ApplicationName: 'app', DeploymentGroupName: 'fleet', ProjectName: 'web' },
    now: () => now,
    markBegun: async () => {},
  } as unknown as ActionJob;
}

/** Deployments by id, given out in pages as the real service does. */
function fakeCodeDeploy(descriptions: Record<string, string>, pageSize: number) {
  const ids = Object.keys(descriptions);
  const created: string[] = [];
  return {
    created,
    async listDeployments({ nextToken }: { nextToken?: string }) {
      const from = Number(nextToken ?? 0);
      const end = from + pageSize;
      return { deployments: ids.slice(from, end), nextToken: end < ids.length ? String(end) : undefined };
    },
    async batchGetDeployments({ deploymentIds }: { deploymentIds: string[] }) {
      assert.ok(deploymentIds.length <= 25);
      return { deploymentsInfo: deploymentIds.map((deploymentId) => ({ deploymentId, description: descriptions[deploymentId] })) };
    },
    async createDeployment({ description }: { description: string }) {
      created.push(description);
      return { deploymentId: 'd-NEW' };
    },
    getDeployment: async () => ({ deploymentInfo: { status: 'InProgress' } }),
  };
}

const s3 = { headObject: async () => ({ ETag: '"x"', VersionId: 'v' }) };
const others = Object.fromEntries(
  Array.from({ length: 130 }, (_, index) => [`d-${index}`, `CodePipeline action execution other-${index}`]),
);

test('CodeDeploy: the deployment that was begun is found among many, and no other is made', async () => {
  const service = fakeCodeDeploy({ ...others, 'd-MINE': 'CodePipeline action execution run-1' }, 100);
  const outcome = await codedeploy.advance(jobOf({}, { codedeploy: service, s3 }));
  assert.deepEqual(outcome, { state: 'InProgress', externalId: 'd-MINE' });
  assert.deepEqual(service.created, []);
});

test('CodeDeploy: when none was begun, one is made', async () => {
  const service = fakeCodeDeploy(others, 100);
  const outcome = await codedeploy.advance(jobOf({}, { codedeploy: service, s3 }));
  assert.deepEqual(outcome, { state: 'InProgress', externalId: 'd-NEW' });
  assert.deepEqual(service.created, ['CodePipeline action execution run-1']);
});

for (const [minutes, state] of [
  [1, 'InProgress'],
  [10, 'Failed'],
] as const) {
  test(`CodeBuild: ${minutes} minutes after a start whose answer was lost: ${state}`, async () => {
    const tokens: string[] = [];
    const startBuild = async ({ idempotencyToken }: { idempotencyToken: string }) => {
      tokens.push(idempotencyToken);
      return { build: { id: 'web:1' } };
    };
    const outcome = await codebuild.advance(jobOf({}, { codebuild: { startBuild } }, new Date(STARTED.getTime() + minutes * 60_000)));
    assert.equal(outcome.state, state);
    // The token makes the second start the same as the first, for as long as it is remembered.
    assert.deepEqual(tokens, state === 'Failed' ? [] : ['run-1']);
  });
}
