/** Sandboxes: a project's machine that waits for commands, and what they do in it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { allow, type BuildBench, buildBench, commands, zipOf } from '../support/codebuild.ts';
import { refused } from '../support/refused.ts';
import { type SandboxBench, sandboxBench } from '../support/sandboxes.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { PluginSession } from '../support/session-plugin.ts';

let server: TestServer;
let bench: BuildBench;
let boxes: SandboxBench;

before(async () => {
  server = await startServer();
  bench = await buildBench(server);
  boxes = sandboxBench(bench);
});
after(async () => {
  await boxes.stopAll();
  await server.stop();
});

const environment = { type: 'LINUX_CONTAINER', image: 'x', computeType: 'BUILD_GENERAL1_SMALL' } as const;

describe('a sandbox', () => {
  it('has the sources, variables, secrets and credentials of its project, runs commands, and is stopped', async () => {
    await bench.s3.putObject({ Bucket: bench.bucket, Key: 'source.zip', Body: await zipOf({ 'hello.txt': 'of the source\n' }) });
    const secrets = new SecretsManager(server.client);
    await secrets.createSecret({ Name: 'token', SecretString: 'very-secret-value' });
    secrets.destroy();
    await bench.project('boxed', '', {
      source: { type: 'S3', location: `${bench.bucket}/source.zip` },
      environment: {
        ...environment,
        environmentVariables: [
          { name: 'GREETING', value: 'hello $HOME', type: 'PLAINTEXT' },
          { name: 'TOKEN', value: 'token', type: 'SECRETS_MANAGER' },
        ],
      },
      timeoutInMinutes: 30,
      logsConfig: { cloudWatchLogs: { status: 'ENABLED', groupName: 'boxes', streamName: 'box' } },
    });
    const { sandbox: started } = await bench.codebuild.startSandbox({ projectName: 'boxed' });
    assert.match(started!.id!, /^boxed:[0-9a-f-]{36}$/);
    assert.equal(started!.arn, `arn:aws:codebuild:${server.region}:${server.account}:sandbox/${started!.id}`);
    assert.equal(started!.status, 'QUEUED');
    assert.equal(started!.timeoutInMinutes, 30);
    assert.equal(started!.currentSession!.logs!.streamName, `box/${started!.currentSession!.id}`);
    const ready = await boxes.wait(started!.id!, (now) => now.status === 'RUN_SANDBOX');
    assert.deepEqual(
      ready.currentSession!.phases!.map((phase) => `${phase.phaseType} ${phase.phaseStatus ?? ''}`),
      ['SUBMITTED SUCCEEDED', 'QUEUED SUCCEEDED', 'PROVISIONING SUCCEEDED', 'DOWNLOAD_SOURCE SUCCEEDED', 'RUN_SANDBOX '],
    );

    const ok = await boxes.run(started!.arn!, 'cat hello.txt\necho "$GREETING, $TOKEN" >&2');
    assert.equal(ok.status, 'SUCCEEDED');
    assert.equal(ok.exitCode, '0');
    assert.equal(ok.standardOutputContent, 'of the source\n');
    assert.equal(ok.standardErrContent, 'hello $HOME, ***\n');
    assert.equal(ok.type, 'SHELL');
    assert.equal(`boxed:${ok.sandboxId}`, started!.id);
    assert.ok(ok.submitTime! <= ok.startTime! && ok.startTime! <= ok.endTime!);

    const failed = await boxes.run(started!.id!, 'fail command');
    assert.equal(failed.status, 'FAILED');
    assert.equal(failed.exitCode, '127');
    assert.match(failed.standardErrContent!, /fail: .*not found/);
    assert.equal((await boxes.run(started!.id!, 'exit 3')).exitCode, '3');
    assert.equal((await boxes.run(started!.id!, 'kill -KILL $$')).exitCode, '137');
    assert.equal((await boxes.run(started!.id!, 'echo kept > made.txt; cd /; X=1')).status, 'SUCCEEDED');
    const next = await boxes.run(started!.id!, 'cat made.txt; echo "[$X]"; [ "$PWD" = "$CODEBUILD_SRC_DIR" ]');
    assert.equal(
      next.standardOutputContent,
      'kept\n[]\n',
      'files stay, and each command has a shell of its own in the directory of the sources',
    );
    assert.equal(next.status, 'SUCCEEDED');
    const uri = await boxes.run(
      started!.id!,
      'curl -s "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | grep -c SecretAccessKey; env | grep -c ^AWS_CONTAINER',
    );
    assert.equal(uri.standardOutputContent, '1\n1\n');
    assert.match((await boxes.run(started!.id!, 'codebuild-hash-files hello.txt')).standardOutputContent!, /^[0-9a-f]{64}\n$/);

    const { sandbox: stopping } = await bench.codebuild.stopSandbox({ id: started!.id! });
    assert.equal(stopping!.status, 'STOPPING');
    const over = await boxes.wait(started!.id!, (now) => now.endTime !== undefined);
    assert.equal(over.status, 'STOPPED');
    assert.equal(over.currentSession!.status, 'STOPPED');
    assert.equal(over.currentSession!.currentPhase, 'COMPLETED');
    assert.equal(over.currentSession!.phases!.at(-2)!.phaseStatus, 'STOPPED');
    assert.equal((await bench.codebuild.stopSandbox({ id: started!.id! })).sandbox!.status, 'STOPPED');
    await refused(
      bench.codebuild.startCommandExecution({ sandboxId: started!.id!, command: 'true' }),
      'InvalidInputException',
      /not running/,
    );
    const { events } = await bench.logs.getLogEvents({
      logGroupName: 'boxes',
      logStreamName: over.currentSession!.logs!.streamName!,
      startFromHead: true,
    });
    const log = events!.map((event) => event.message).join('');
    assert.match(log, /Running command cat hello\.txt/);
    assert.match(log, /^of the source$/m);
    assert.doesNotMatch(log, /very-secret-value/);
  });

  it('runs several commands at once, and background processes live on between them', async () => {
    const id = await boxes.start('idle');
    const waits = await bench.codebuild.startCommandExecution({
      sandboxId: id,
      command: 'while [ ! -e go ]; do sleep 0.02; done; echo went',
    });
    assert.equal(waits.commandExecution!.status, 'SUBMITTED');
    await boxes.run(id, 'sleep 600 </dev/null >/dev/null 2>&1 & echo $! > pid');
    assert.equal((await boxes.run(id, 'kill -0 $(cat pid) && kill $(cat pid) && touch go')).exitCode, '0');
    const went = await boxes.waitCommand(id, waits.commandExecution!.id!);
    assert.equal(went.standardOutputContent, 'went\n');
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    const many = await Promise.all(numbers.map((number) => boxes.run(id, `echo ${number} >> ran; exit ${number}`)));
    assert.deepEqual(
      many.map((one) => Number(one.exitCode)),
      numbers,
    );
    const ran = (await boxes.run(id, 'sort -n ran')).standardOutputContent!.trim().split('\n').map(Number);
    assert.deepEqual(ran, numbers, 'each ran once');
  });

  it('that is stopped ends the commands that run, and says so', async () => {
    const id = await boxes.start('idle');
    const { commandExecution } = await bench.codebuild.startCommandExecution({ sandboxId: id, command: 'echo begun; sleep 600' });
    await boxes.waitCommand(id, commandExecution!.id!, (now) => now.status === 'IN_PROGRESS');
    await bench.codebuild.stopSandbox({ id });
    await boxes.wait(id, (now) => now.status === 'STOPPED');
    const over = await boxes.waitCommand(id, commandExecution!.id!);
    assert.equal(over.status, 'FAILED');
    assert.match(over.standardErrContent!, /stopped before the command ended|sandbox ended before/);
  });

  it('whose sources cannot be had fails', async () => {
    await bench.project('sourceless', '', { source: { type: 'S3', location: `${bench.bucket}/none.zip` } });
    const { sandbox } = await bench.codebuild.startSandbox({ projectName: 'sourceless' });
    const { commandExecution } = await bench.codebuild.startCommandExecution({ sandboxId: sandbox!.id!, command: 'true' });
    const over = await boxes.wait(sandbox!.id!, (now) => now.endTime !== undefined);
    assert.equal(over.status, 'FAILED');
    const phase = over.currentSession!.phases!.find((one) => one.phaseType === 'DOWNLOAD_SOURCE');
    assert.equal(phase!.phaseStatus, 'FAILED');
    assert.match(phase!.contexts![0]!.message!, /none\.zip|key does not exist/i);
    const command = await boxes.waitCommand(sandbox!.id!, commandExecution!.id!);
    assert.match(command.standardErrContent!, /ended before the command did/);
  });

  it('is started once for each idempotency token', async () => {
    await boxes.start('idle');
    const start = (projectName: string) => bench.codebuild.startSandbox({ projectName, idempotencyToken: 'once' });
    const [first, second] = [await start('idle'), await start('idle')];
    assert.equal(first.sandbox!.id, second.sandbox!.id);
    boxes.add(first.sandbox!.id!);
    await refused(start('sourceless'), 'InvalidInputException', /idempotency token/);
  });
});

describe('sandboxes and their commands', () => {
  it('are listed page by page, and found by id or ARN', async () => {
    const ids = [await boxes.start('listed'), await boxes.start('listed'), await boxes.start('listed')];
    const pages = async (list: (nextToken?: string) => Promise<{ ids?: string[]; nextToken?: string }>) => {
      const all: string[] = [];
      let nextToken: string | undefined;
      do {
        const page = await list(nextToken);
        all.push(...page.ids!);
        nextToken = page.nextToken;
      } while (nextToken);
      return all;
    };
    const { codebuild } = bench;
    const of = (sortOrder?: 'ASCENDING') => (nextToken?: string) =>
      codebuild.listSandboxesForProject({ projectName: 'listed', maxResults: 2, sortOrder, nextToken });
    assert.deepEqual(await pages(of()), [...ids].reverse());
    assert.deepEqual(await pages(of('ASCENDING')), ids);
    const all = await pages((nextToken) => codebuild.listSandboxes({ maxResults: 2, sortOrder: 'ASCENDING', nextToken }));
    assert.deepEqual(
      all.filter((id) => id.startsWith('listed:')),
      ids,
    );
    const none = `listed:00000000-0000-0000-0000-000000000000`;
    const { sandboxes, sandboxesNotFound } = await codebuild.batchGetSandboxes({ ids: [ids[0]!, none, 'x', '../y:z'] });
    assert.deepEqual(
      sandboxes!.map((one) => one.id),
      [ids[0]],
    );
    assert.deepEqual(sandboxesNotFound, [none, 'x', '../y:z']);

    const id = ids[0]!;
    const ran = [await boxes.run(id, 'echo 1'), await boxes.run(id, 'echo 2'), await boxes.run(id, 'echo 3')].map((one) => one.id!);
    const list = async (nextToken?: string) => {
      const page = await codebuild.listCommandExecutionsForSandbox({ sandboxId: id, maxResults: 2, sortOrder: 'ASCENDING', nextToken });
      return { ids: page.commandExecutions!.map((one) => one.id!), nextToken: page.nextToken };
    };
    assert.deepEqual(await pages(list), ran);
    const { commandExecutionsNotFound } = await codebuild.batchGetCommandExecutions({
      sandboxId: ids[1]!,
      commandExecutionIds: [ran[0]!, 'x'],
    });
    assert.deepEqual(commandExecutionsNotFound, [ran[0], 'x'], 'a command belongs to its sandbox');
    for (const call of [
      () => codebuild.listSandboxes({ nextToken: 'forged' }),
      () => codebuild.listSandboxesForProject({ projectName: 'listed', nextToken: 'forged' }),
      () => codebuild.listCommandExecutionsForSandbox({ sandboxId: id, nextToken: 'forged' }),
      () => codebuild.listSandboxes({ maxResults: 101 }),
    ])
      await refused(call(), 'InvalidInputException');
  });

  it('that are not there, or make no sense, are refused', async () => {
    const { codebuild } = bench;
    const none = 'listed:00000000-0000-0000-0000-000000000000';
    await refused(codebuild.startSandbox({ projectName: 'nothing' }), 'ResourceNotFoundException');
    await refused(codebuild.startSandbox({}), 'InvalidInputException', /projectName/);
    await refused(codebuild.listSandboxesForProject({ projectName: 'nothing' }), 'ResourceNotFoundException');
    await refused(codebuild.stopSandbox({ id: none }), 'ResourceNotFoundException');
    await refused(codebuild.stopSandbox({ id: 'x' }), 'InvalidInputException', /Invalid sandbox ID/);
    await refused(codebuild.startCommandExecution({ sandboxId: none, command: 'true' }), 'ResourceNotFoundException');
    await refused(codebuild.listCommandExecutionsForSandbox({ sandboxId: none }), 'ResourceNotFoundException');
    const id = await boxes.start('idle');
    await refused(codebuild.startCommandExecution({ sandboxId: id, command: '' }), 'InvalidInputException');
    await refused(codebuild.startCommandExecution({ sandboxId: id, command: 'echo \0' }), 'InvalidInputException', /NUL/);
    await refused(codebuild.startCommandExecution({ sandboxId: id, command: 'x'.repeat(70_000) }), 'InvalidInputException', /longer than/);
    await refused(codebuild.startCommandExecution({ sandboxId: id, command: 'true', type: 'PYTHON' as never }), 'InvalidInputException');
    await refused(codebuild.startSandboxConnection({ sandboxId: none }), 'ResourceNotFoundException');
  });

  it('take any output', async () => {
    const id = await boxes.start('idle');
    const hostile = await boxes.run(id, `printf 'a\\000b\\377\\n'; head -c 300000 /dev/zero | tr '\\0' x; printf '\\033[31m' >&2`);
    assert.equal(hostile.status, 'SUCCEEDED');
    assert.equal(hostile.standardOutputContent!.length, 65_536);
    assert.match(hostile.standardOutputContent!, /^a\ufffdb\ufffd\nx+$/);
    assert.equal(hostile.standardErrContent, '\u001b[31m');
    const quoted = await boxes.run(id, `echo "'; exit 1 #"; echo '$(exit 2)'`);
    assert.equal(quoted.standardOutputContent, "'; exit 1 #\n$(exit 2)\n");
  });

  it('are the business of whoever may use the project', async () => {
    const id = await boxes.start('idle');
    await bench.iam.createUser({ UserName: 'debugger' });
    const project = `arn:aws:codebuild:${server.region}:${server.account}:project/idle`;
    const PolicyDocument = allow(['codebuild:StartCommandExecution', 'codebuild:BatchGetSandboxes'], project);
    await bench.iam.putUserPolicy({ UserName: 'debugger', PolicyName: 'p', PolicyDocument });
    const { AccessKey } = await bench.iam.createAccessKey({ UserName: 'debugger' });
    const { CodeBuild } = await import('@aws-sdk/client-codebuild');
    const limited = new CodeBuild({
      ...server.client,
      credentials: { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! },
    });
    const { commandExecution } = await limited.startCommandExecution({ sandboxId: id, command: 'true' });
    await boxes.waitCommand(id, commandExecution!.id!);
    assert.equal((await limited.batchGetSandboxes({ ids: [id] })).sandboxes!.length, 1);
    await refused(limited.stopSandbox({ id }), 'AccessDeniedException');
    await refused(limited.startSandbox({ projectName: 'idle' }), 'AccessDeniedException');
    await refused(limited.batchGetSandboxes({ ids: ['listed:00000000-0000-0000-0000-000000000000'] }), 'AccessDeniedException');
    limited.destroy();
  });

  it('of builds are not among sandboxes, nor the other way round', async () => {
    await bench.project('both', commands('true'));
    const build = await bench.build('both');
    const id = await boxes.start('both');
    assert.deepEqual((await bench.codebuild.listBuildsForProject({ projectName: 'both' })).ids, [build.id]);
    assert.deepEqual((await bench.codebuild.listSandboxesForProject({ projectName: 'both' })).ids, [id]);
    assert.deepEqual((await bench.codebuild.batchGetBuilds({ ids: [id] })).buildsNotFound, [id]);
  });
});

describe('a session in a sandbox', () => {
  const connect = async (sandboxId: string) => (await bench.codebuild.startSandboxConnection({ sandboxId })).ssmSession!;

  it('is a shell with a terminal, in the directory of the sources', async () => {
    const id = await boxes.start('idle');
    await boxes.run(id, 'echo of the sandbox > here.txt');
    const given = await connect(id);
    assert.match(given.streamUrl!, new RegExp(`^${server.endpoint.replace('http', 'ws')}/v1/data-channel/${given.sessionId}\\?`));
    await using session = new PluginSession(given, 2);
    await session.until(({ handshake }) => handshake !== undefined);
    session.resize(77, 33);
    session.type("PS1='> '; echo begun-$((20+1))\r");
    await session.until(({ text }) => text.includes('begun-21'));
    session.type('cat here.txt; test -t 0 && echo terminal; stty size; echo "[$PENSTOCK_TTY]"\r');
    await session.until(({ text }) => text.includes('[]\r\n'));
    assert.match(session.text, /of the sandbox\r\nterminal\r\n33 77\r\n/);
    assert.equal(session.text.match(/begun-21/g)!.length, 1, 'what the client sends twice is taken once');
    session.type('sleep 600\r');
    await session.until(({ text }) => text.includes('sleep 600\r\n'));
    session.type('\x03');
    session.type('echo interrupted; seq 1 20000 | tail -n 20000; exit\r');
    await session.until(({ ended }) => ended !== undefined);
    assert.match(session.text, /\^C.*interrupted\r\n1\r\n2\r\n.*\n19999\r\n20000\r\n/s);
    assert.deepEqual(session.closed!.Output, '');
    assert.equal(new Set(session.acknowledged).size, Math.max(...session.acknowledged) + 1, 'all that was sent was acknowledged');
  });

  it('ends with its user, its connection or its sandbox, and leaves nothing running', async () => {
    const id = await boxes.start('idle');
    const begin = async () => {
      const session = new PluginSession(await connect(id));
      await session.until(({ handshake }) => handshake !== undefined);
      session.type('echo $$ > pid; echo ready-$((1+1))\r');
      await session.until(({ text }) => text.includes('ready-2'));
      return session;
    };
    const gone = () => boxes.run(id, 'for i in $(seq 100); do kill -0 $(cat pid) 2>/dev/null || exit 0; sleep 0.05; done; exit 1');
    const terminated = await begin();
    terminated.terminate();
    await terminated.until(({ ended }) => ended !== undefined);
    assert.equal((await gone()).exitCode, '0');
    await (await begin())[Symbol.asyncDispose]();
    assert.equal((await gone()).exitCode, '0');
    const stopped = await begin();
    await bench.codebuild.stopSandbox({ id });
    await stopped.until(({ ended }) => ended !== undefined);
    assert.equal(stopped.closed!.Output, 'The sandbox was stopped.');
    await refused(connect(id), 'InvalidInputException', /is not connected/);
  });

  it('is opened by its own token alone, and survives what is no message', async () => {
    const id = await boxes.start('idle');
    const [one, other] = [await connect(id), await connect(id)];
    const forged = [
      { ...one, tokenValue: 'forged' },
      { ...one, tokenValue: other.tokenValue! },
      { ...one, tokenValue: undefined },
      { ...one, sessionId: 'x', streamUrl: one.streamUrl!.replace(one.sessionId!, 'x') },
    ];
    for (const wrong of forged) {
      const session = new PluginSession(wrong as typeof one);
      await session.until(({ ended }) => ended !== undefined);
      assert.equal(session.ended, 1008);
    }
    const lost = new WebSocket(one.streamUrl!.replace(/data-channel.*/, 'data-channel/../..'));
    await new Promise((resolve) => lost.addEventListener('error', resolve));
    await using session = new PluginSession(one);
    await session.until(({ handshake }) => handshake !== undefined);
    for (const junk of ['text', Buffer.alloc(0), Buffer.alloc(500), Buffer.alloc(120, 0xff)]) session.raw(junk);
    session.type('echo still-$((1+2))\r');
    await session.until(({ text }) => text.includes('still-3'));
    session.raw(Buffer.alloc(2 * 1024 * 1024));
    await session.until(({ ended }) => ended !== undefined);
    assert.equal(session.ended, 1009);
    const flood = new PluginSession(await connect(id));
    await flood.until(({ handshake }) => handshake !== undefined);
    flood.type('sleep 600\r');
    for (let sent = 0; sent < 16 && flood.ended === undefined; sent += 1) flood.type('x'.repeat(500_000));
    await flood.until(({ ended }) => ended !== undefined);
    assert.equal(flood.closed!.Output, '', 'who types megabytes ahead of a shell that does not read is let go');
  });
});
