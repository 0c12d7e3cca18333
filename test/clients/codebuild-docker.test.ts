/** Builds in containers: the project's image, how it is pulled, and what a build finds in it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { TestEngine, tarOfDirectory, testImage, whyNoEngine } from '../../src/ports/machines/docker/test-engine.ts';
import { TestRegistry } from '../../src/ports/machines/docker/test-registry.ts';
import { type BuildBench, buildBench, commands, phaseLines } from '../support/codebuild.ts';
import { startServer, type TestServer } from '../support/server.ts';

const environment = { type: 'LINUX_CONTAINER', image: testImage, computeType: 'BUILD_GENERAL1_SMALL' } as const;

describe('CodeBuild on a container engine', { skip: await whyNoEngine() }, () => {
  let engine: TestEngine;
  let server: TestServer;
  let bench: BuildBench;

  before(async () => {
    engine = await TestEngine.start();
    const env = { PENSTOCK_DOCKER_HOST: engine.host, PENSTOCK_IMAGE_MAP: `aws/codebuild/standard:*=${testImage}` };
    server = await startServer({ args: ['--machines', 'docker'], env });
    bench = await buildBench(server);
  });
  after(async () => {
    await server?.stop();
    await engine?.[Symbol.asyncDispose]();
  });

  async function containers(): Promise<unknown[]> {
    return await engine.api.call('GET', '/containers/json', { query: { all: 'true' } });
  }

  test("builds in the project's image, which needs no git, and stores what it made", async () => {
    const codecommit = new CodeCommit(server.client);
    await codecommit.createRepository({ repositoryName: 'app' });
    const putFiles = [{ filePath: 'src/hello.txt', fileContent: Buffer.from('hello') }];
    const { commitId } = await codecommit.createCommit({ repositoryName: 'app', branchName: 'main', putFiles });
    const buildspec = commands(
      'cat src/hello.txt && test ! -e /usr/bin/git && cat .git/HEAD',
      'echo "I am $(id -u) in $(pwd) with $HOME and $FROM_BUILD of $CODEBUILD_BUILD_IMAGE"',
      'wget -q -O - "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | grep -c AccessKeyId',
      'mkdir -p out/deep && echo made >out/deep/made.txt && ln out/deep/made.txt out/again.txt',
    );
    const source = {
      type: 'CODECOMMIT' as const,
      location: `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/app`,
      buildspec: `${buildspec}artifacts:\n  base-directory: out\n  files: ['**/*']\n`,
    };
    const artifacts = { type: 'S3' as const, location: bench.bucket, name: 'made', packaging: 'NONE' as const, path: 'docker' };
    const variables = [{ name: 'FROM_BUILD', value: 'a variable' }];
    await bench.project('whole', '', { source, artifacts, environment: { ...environment, environmentVariables: variables } });
    const build = await bench.build('whole');
    const log = await bench.log(build);
    assert.equal(build.buildStatus, 'SUCCEEDED', log);
    assert.equal(build.resolvedSourceVersion, commitId);
    assert.match(log, /Running on Penstock, docker \(/);
    assert.match(log, new RegExp(`hello${commitId}`));
    assert.match(log, /I am 0 in \/codebuild\/output\/src\d+\/src\/\S+\/app with \/root and a variable of penstock-test\/busybox:1/);
    assert.match(log, /^1$/m, 'the endpoint answers');
    for (const name of ['deep/made.txt', 'again.txt']) {
      const { Body } = await bench.s3.getObject({ Bucket: bench.bucket, Key: `docker/made/${name}` });
      assert.equal(await Body!.transformToString(), 'made\n');
    }
    assert.deepEqual(await containers(), []);
  });

  test('finds the images that stand for those of AWS', async () => {
    await bench.project('curated', commands('busybox | head -n 1'));
    const build = await bench.build('curated');
    assert.equal(build.buildStatus, 'SUCCEEDED');
    assert.match(await bench.log(build), /BusyBox/);
  });

  test('keeps a cache from one container to the next', async () => {
    const work =
      'cat kept/file /root/.kept/file 2>/dev/null || echo nothing; mkdir -p kept /root/.kept; echo mine >kept/file; echo theirs >/root/.kept/file';
    const spec = `${commands(work)}cache:\n  paths: ['kept/**/*', '/root/.kept/**/*']\n`;
    await bench.project('cached', spec, { environment, cache: { type: 'S3', location: `${bench.bucket}/cache` } });
    assert.match(await bench.log(await bench.build('cached')), /^nothing$/m);
    assert.match(await bench.log(await bench.build('cached')), /^mine\ntheirs$/m);
  });

  test('tells why an image cannot be pulled', async () => {
    await bench.project('unreachable', commands('true'), { environment: { ...environment, image: '127.0.0.1:1/none/app:1' } });
    const build = await bench.build('unreachable');
    assert.equal(build.buildStatus, 'FAILED');
    const provisioning = phaseLines(build).find((line) => line.startsWith('PROVISIONING'));
    assert.match(
      provisioning ?? '',
      /^PROVISIONING FAILED BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image\. .*connection refused/,
    );
  });

  test('is stopped while it pulls an image', async () => {
    const silent = createServer(() => asked.resolve());
    const asked = Promise.withResolvers<void>();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      const image = `127.0.0.1:${(silent.address() as AddressInfo).port}/silent/app:1`;
      await bench.project('pulling', commands('true'), { environment: { ...environment, image } });
      const { build } = await bench.codebuild.startBuild({ projectName: 'pulling' });
      await asked.promise;
      await bench.codebuild.stopBuild({ id: build!.id! });
      const over = await bench.wait(build!.id!);
      assert.deepEqual(
        [over.buildStatus, over.phases!.at(-2)?.phaseType, over.phases!.at(-2)?.phaseStatus],
        ['STOPPED', 'PROVISIONING', 'STOPPED'],
      );
    } finally {
      silent.close();
    }
  });

  test("pulls from a private registry with the secret's user and password, as the project's role", async () => {
    await using registry = await TestRegistry.start(tarOfDirectory(engine.root), { username: 'alice', password: 'correct horse' });
    const secrets = new SecretsManager(server.client);
    for (const [name, password] of Object.entries({ right: 'correct horse', wrong: 'battery staple' }))
      await secrets.createSecret({ Name: name, SecretString: JSON.stringify({ username: 'alice', password }) });
    await secrets.createSecret({ Name: 'odd', SecretString: 'no JSON' });
    const withSecret = (credential: string) => ({
      environment: {
        ...environment,
        image: registry.image,
        imagePullCredentialsType: 'SERVICE_ROLE' as const,
        registryCredential: { credential, credentialProvider: 'SECRETS_MANAGER' as const },
      },
    });
    const reasons = {
      wrong: /unauthorized|authentication required|no basic auth/i,
      odd: /odd is no JSON object/,
      none: /none cannot be read: ResourceNotFound/,
    };
    for (const [secret, reason] of Object.entries(reasons)) {
      await bench.project(`private-${secret}`, commands('true'), withSecret(secret));
      const lines = phaseLines(await bench.build(`private-${secret}`)).join('\n');
      assert.match(lines, /PROVISIONING FAILED BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE/);
      assert.match(lines, reason);
    }
    assert.deepEqual(registry.served, [], 'nobody was let in with the wrong password');
    await bench.project('private-right', commands('echo pulled'), withSecret('right'));
    const build = await bench.build('private-right');
    const log = await bench.log(build);
    assert.equal(build.buildStatus, 'SUCCEEDED', phaseLines(build).join('\n'));
    assert.match(log, /Pulling 127\.0\.0\.1:\d+\/private\/app:1: Status: Downloaded newer image/);
    assert.ok(!log.includes('correct horse'));
  });

  test('says of an image without a shell that it has none', async () => {
    const empty = path.join(engine.directory, 'empty', 'etc');
    mkdirSync(empty, { recursive: true });
    await engine.importImage('penstock-test/empty:1', path.dirname(empty));
    await bench.project('shell-less', commands('true'), { environment: { ...environment, image: 'penstock-test/empty:1' } });
    const build = await bench.build('shell-less');
    assert.notEqual(build.buildStatus, 'SUCCEEDED');
    assert.match(phaseLines(build).join('\n'), /PROVISIONING \w+ \w+: the image penstock-test\/empty:1 has no \/bin\/sh/);
    assert.deepEqual(await containers(), []);
  });

  test('ends a stopped build with all that it started', async () => {
    const daemon = `setsid sh -c "trap '' TERM HUP; while :; do sleep 0.1; done" & echo started; sleep 1000`;
    await bench.project('stopped', commands(daemon));
    const { build } = await bench.codebuild.startBuild({ projectName: 'stopped' });
    await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    await bench.codebuild.stopBuild({ id: build!.id! });
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'STOPPED');
    assert.deepEqual(await containers(), []);
  });

  test('runs a folder in an image without a server, and leaves nothing when it is interrupted', async () => {
    const folder = path.join(engine.directory, 'folder');
    mkdirSync(folder);
    writeFileSync(
      path.join(folder, 'buildspec.yml'),
      commands('echo "in $(cat /etc/passwd | tail -n 1)"', 'test -z "$WAIT" || sleep 1000'),
    );
    const local = (...args: string[]) => {
      const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
      const child = spawn(process.execPath, [main, 'build', folder, '--image', testImage, ...args], {
        env: { ...process.env, ...engine.env },
      });
      let output = '';
      const said = Promise.withResolvers<void>();
      child.stdout.on('data', (chunk) => {
        output += chunk;
        if (output.includes('in builder:')) said.resolve();
      });
      return { child, said: said.promise, ended: once(child, 'close').then(([code]) => ({ code, output })) };
    };
    const { code, output } = await local().ended;
    assert.deepEqual([code, /in builder:x:1000/.test(output)], [0, true], output);
    const interrupted = local('-e', 'WAIT=1');
    await interrupted.said;
    assert.equal((await containers()).length, 1);
    interrupted.child.kill('SIGINT');
    assert.equal((await interrupted.ended).code, 130);
    assert.deepEqual(await containers(), []);
  });

  test('ends a build whose server was killed, with its container', async () => {
    await bench.project('orphan', commands('sleep 1000'));
    const { build } = await bench.codebuild.startBuild({ projectName: 'orphan' });
    await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    await server.kill();
    assert.equal((await containers()).length, 1, 'it outlives the server');
    await server.restart();
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'FAULT');
    assert.match(phaseLines(over).join('\n'), /The process that ran this build ended before the build did/);
    assert.deepEqual(await containers(), []);
  });

  test('ends a build truthfully when the engine is killed, and goes on with the next engine', async () => {
    await bench.project('lost', commands('echo begun; sleep 1000; echo never'));
    const { build } = await bench.codebuild.startBuild({ projectName: 'lost' });
    await bench.wait(build!.id!, ({ currentPhase }) => currentPhase === 'BUILD');
    await engine.kill();
    const over = await bench.wait(build!.id!);
    assert.equal(over.buildStatus, 'FAULT');
    assert.match(phaseLines(over).join('\n'), /BUILD FAULT INTERNAL_SERVICE_ERROR: the container engine cannot be reached/);
    await bench.project('no-engine', commands('true'));
    const without = await bench.build('no-engine');
    assert.match(phaseLines(without).join('\n'), /PROVISIONING FAULT INTERNAL_SERVICE_ERROR: the container engine cannot be reached/);
    await engine.start();
    const next = await bench.build('no-engine');
    assert.equal(next.buildStatus, 'SUCCEEDED', phaseLines(next).join('\n'));
    // What it could not remove then is removed later, at the latest after its next start.
    await server.kill();
    await server.restart();
    while ((await containers()).length > 0) await delay(50);
  });
});
