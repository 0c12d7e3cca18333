/** Requests that come at the same time share queries and transactions; none of them may notice. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { startServer, type TestServer } from '../support/server.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const OTHER_REGION = 'eu-west-1';

let server: TestServer;
/** The first account in two regions, and another account. */
let places: CodeCommit[];
let codecommit: CodeCommit;
let events: EventBridge;

before(async () => {
  server = await startServer();
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'account', 'add', '111122223333', '--data', server.dataDir], {
    env: server.env,
  });
  const [accessKeyId, secretAccessKey] = [...stdout.matchAll(/='(.+)'/g)].map((found) => found[1]!);
  places = [
    new CodeCommit(server.client),
    new CodeCommit({ ...server.client, region: OTHER_REGION }),
    new CodeCommit({ ...server.client, credentials: { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! } }),
  ];
  codecommit = places[0]!;
  events = new EventBridge(server.client);
});
after(() => server?.stop());

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

test('each reads what is its own account’s and region’s, and what was acknowledged before it asked', async () => {
  await Promise.all(
    places.flatMap((client) =>
      range(10).map(async (index) => {
        const repositoryName = `shared-${index}`;
        const { repositoryMetadata: made } = await client.createRepository({ repositoryName });
        for (const round of range(5)) {
          await client.updateRepositoryDescription({ repositoryName, repositoryDescription: `round ${round}` });
          const { repositoryMetadata: read } = await client.getRepository({ repositoryName });
          assert.equal(read?.repositoryId, made?.repositoryId);
          assert.equal(read?.Arn, made?.Arn);
          assert.equal(read?.repositoryDescription, `round ${round}`);
        }
        if (index < 2) {
          const commit = await client.putFile({ repositoryName, branchName: 'main', filePath: 'a', fileContent: Buffer.from(made!.Arn!) });
          assert.equal((await client.getBranch({ repositoryName, branchName: 'main' })).branch?.commitId, commit.commitId);
        }
        await client.deleteRepository({ repositoryName });
        await assert.rejects(client.getRepository({ repositoryName }), { name: 'RepositoryDoesNotExistException' });
      }),
    ),
  );
});

test('of those who want one name one gets it; a name that cannot be harms no other', async () => {
  const wanted = range(60).map((index) => (index % 3 === 0 ? 'wanted' : index % 3 === 1 ? `free-${index}` : 'not possible'));
  const outcomes = await Promise.allSettled(wanted.map((repositoryName) => codecommit.createRepository({ repositoryName })));
  const refused = outcomes.flatMap((outcome, index) => (outcome.status === 'rejected' ? [`${wanted[index]}: ${outcome.reason.name}`] : []));
  assert.deepEqual(refused.sort(), [
    ...Array(20).fill('not possible: InvalidRepositoryNameException'),
    ...Array(19).fill('wanted: RepositoryNameExistsException'),
  ]);
  const { repositories } = await codecommit.listRepositories({});
  assert.equal(repositories?.length, 21);
});

test('tags that are given at once are all kept, up to the limit', async () => {
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName: 'tagged' });
  const resourceArn = repositoryMetadata!.Arn!;
  const outcomes = await Promise.allSettled(
    range(60).map((index) => codecommit.tagResource({ resourceArn, tags: { [`key ${index}`]: `value ${index}` } })),
  );
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.name] : []));
  assert.deepEqual(refused, Array(10).fill('TooManyTagsException'));
  const { tags } = await codecommit.listTagsForResource({ resourceArn });
  const given = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [[`key ${index}`, `value ${index}`]] : []));
  assert.deepEqual(tags, Object.fromEntries(given));
  await assert.rejects(codecommit.tagResource({ resourceArn: `${resourceArn}-not`, tags: { a: 'b' } }), {
    name: 'RepositoryDoesNotExistException',
  });
});

test('texts that the database does not know fail nobody else', async () => {
  const texts = ['half a pair \ud800', 'a \\ud800 in letters', 'quotes " and \\', 'ä 😀'];
  const made = await Promise.all(
    texts.map((repositoryDescription, index) => codecommit.createRepository({ repositoryName: `text-${index}`, repositoryDescription })),
  );
  assert.equal(made.length, texts.length);
  const read = await Promise.all(texts.map((_, index) => codecommit.getRepository({ repositoryName: `text-${index}` })));
  assert.deepEqual(
    read.map(({ repositoryMetadata }) => repositoryMetadata?.repositoryDescription),
    texts.map((text) => text.toWellFormed()),
  );
});

test('rules that are put at once are each as one of their callers wanted', async () => {
  const put = (Name: string, source: string) =>
    events.putRule({ Name, Description: source, EventPattern: JSON.stringify({ source: [source] }) });
  await put('old', 'first');
  await events.putRule({ Name: 'timed', ScheduleExpression: 'rate(1 hour)' });
  await Promise.all([
    ...range(20).map((index) => put('old', `old-${index}`)),
    ...range(20).map((index) => put(`new-${index}`, `s-${index}`)),
  ]);
  // A schedule is taken away by a rule that has none, and comes back with one that has.
  await put('timed', 'events');
  assert.equal((await events.describeRule({ Name: 'timed' })).ScheduleExpression, undefined);
  await events.putRule({ Name: 'timed', ScheduleExpression: 'rate(2 hours)', State: 'DISABLED' });
  const { Rules } = await events.listRules({});
  assert.equal(Rules?.length, 22);
  for (const { Name, Description, EventPattern, ScheduleExpression, State } of Rules!) {
    if (Name === 'timed') assert.deepEqual([EventPattern, ScheduleExpression, State], [undefined, 'rate(2 hours)', 'DISABLED']);
    else assert.equal(EventPattern, JSON.stringify({ source: [Description] }));
  }
  assert.match(Rules!.find(({ Name }) => Name === 'old')!.Description!, /^old-\d+$/);
});
