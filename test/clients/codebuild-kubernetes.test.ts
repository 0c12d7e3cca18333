/** Builds in pods: against a stand-in for a cluster, whose pods are real processes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { TestCluster, whyNoCluster } from '../../src/ports/machines/kubernetes/test-cluster.ts';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

const environment = { type: 'LINUX_CONTAINER', image: 'busybox:1', computeType: 'BUILD_GENERAL1_SMALL' } as const;

describe('CodeBuild on a Kubernetes cluster', { skip: whyNoCluster() }, () => {
  let cluster: TestCluster;
  let server: TestServer;
  let bench: BuildBench;

  before(async () => {
    cluster = new TestCluster();
    const env = { ...(await cluster.start()), PENSTOCK_IMAGE_MAP: 'aws/codebuild/standard:*=busybox:1' };
    server = await startServer({ args: ['--machines', 'kubernetes'], env });
    bench = await buildBench(server);
  });
  after(async () => {
    await server?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  test("builds in a pod of the project's image and compute type, and stores what it made", async () => {
    const codecommit = new CodeCommit(server.client);
    await codecommit.createRepository({ repositoryName: 'app' });
    const putFiles = [{ filePath: 'src/hello.txt', fileContent: Buffer.from('hello') }];
    await codecommit.createCommit({ repositoryName: 'app', branchName: 'main', putFiles });
    const buildspec = commands('echo "$(cat src/hello.txt) from $(id -u) in $HOME"', 'mkdir out && echo made >out/made.txt');
    const source = {
      type: 'CODECOMMIT' as const,
      location: `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/app`,
      buildspec: `${buildspec}artifacts:\n  base-directory: out\n  files: ['**/*']\n`,
    };
    const artifacts = { type: 'S3' as const, location: bench.bucket, name: 'made', packaging: 'NONE' as const };
    await bench.project('whole', '', { source, artifacts, environment });
    const { build: started } = await bench.codebuild.startBuild({ projectName: 'whole' });
    await bench.wait(started!.id!, ({ currentPhase }) => currentPhase === 'BUILD' || currentPhase === 'COMPLETED');
    const build = await bench.wait(started!.id!);
    const log = await bench.log(build);
    assert.equal(build.buildStatus, 'SUCCEEDED', `${phaseLines(build).join('\n')}\n${log}`);
    assert.match(log, /Running on Penstock, kubernetes \(v1\.34\.0-test;/);
    assert.match(log, /hello from 0 in \/root/);
    const { Body } = await bench.s3.getObject({ Bucket: bench.bucket, Key: 'made/made.txt' });
    assert.equal(await Body!.transformToString(), 'made\n');
    assert.deepEqual(cluster.pods, []);
  });

  test('tells why an image cannot be had', async () => {
    await bench.project('missing', commands('true'), { environment: { ...environment, image: 'missing:1' } });
    const build = await bench.build('missing');
    const reason = /PROVISIONING FAILED BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: .*missing:1: pull access denied/;
    assert.match(phaseLines(build).join('\n'), reason);
    assert.deepEqual(cluster.pods, []);
  });

  test('ends a stopped build with its pod', async () => {
    await bench.project('stopped', commands(`setsid sh -c "trap '' TERM HUP; while :; do sleep 0.1; done" & sleep 1000`));
    const { build } = await bench.codebuild.startBuild({ projectName: 'stopped' });
    await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    await bench.codebuild.stopBuild({ id: build!.id! });
    assert.equal((await bench.wait(build!.id!)).buildStatus, 'STOPPED');
    assert.deepEqual(cluster.pods, []);
  });

  test('ends a build truthfully when the cluster breaks off, and removes the pods of a server that was killed', async () => {
    await bench.project('lost', commands('echo begun; sleep 1000; echo never'));
    const { build } = await bench.codebuild.startBuild({ projectName: 'lost' });
    await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    cluster.breakConnections();
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'FAULT', phaseLines(over).join('\n'));
    const { build: second } = await bench.codebuild.startBuild({ projectName: 'lost' });
    await bench.wait(second!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    await server.kill();
    assert.equal(cluster.pods.length, 1);
    await server.restart();
    assert.equal((await bench.wait(second!.id!)).buildStatus, 'FAULT');
    while (cluster.pods.length > 0) await delay(50);
  });
});
