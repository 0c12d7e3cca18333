/** Repositories under KMS keys: who may use the key may use the repository, also where the server has it at hand. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { S3 } from '@aws-sdk/client-s3';
import { git, tryGit } from '../../src/git/client.ts';
import { type GitKey, signGit, withCredentials } from '../support/git.ts';
import { failure, newKey } from '../support/kms.ts';
import { cleanEnvironment, startServer, type TestServer } from '../support/server.ts';

let home: string;
let server: TestServer;
let codecommit: CodeCommit;
let kms: KMS;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-encryption-'));
  server = await startServer({ dataDir: path.join(home, 'data') });
  codecommit = new CodeCommit(server.client);
  kms = new KMS(server.client);
});
after(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

const url = (name: string) => `${server.endpoint}/v1/repos/${name}`;
const env = (name: string, key?: GitKey) => withCredentials(signGit(server, name, key));

async function makeUser(...actions: string[]): Promise<GitKey> {
  const iam = new IAMClient(server.client);
  const UserName = `user-${randomBytes(4).toString('hex')}`;
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] });
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

async function newRepository(repositoryName: string, kmsKeyId?: string): Promise<string | undefined> {
  const { repositoryMetadata } = await codecommit.createRepository({ repositoryName, kmsKeyId });
  const putFiles = [{ filePath: 'a.txt', fileContent: Buffer.from('secret') }];
  await codecommit.createCommit({ repositoryName, branchName: 'main', putFiles });
  return repositoryMetadata!.kmsKeyId;
}

async function read(repositoryName: string, client = codecommit): Promise<string> {
  const { fileContent } = await client.getFile({ repositoryName, filePath: 'a.txt' });
  return Buffer.from(fileContent!).toString();
}

const clone = (name: string, key?: GitKey) =>
  tryGit(home, ['clone', '-q', url(name), path.join(home, `${name}-${randomBytes(4).toString('hex')}`)], env(name, key));

describe('CodeCommit under KMS keys', () => {
  it('takes the AWS-managed key when none is named; nobody needs a permission for it', async () => {
    const used = await newRepository('managed');
    const { KeyMetadata } = await kms.describeKey({ KeyId: 'alias/aws/codecommit' });
    assert.deepEqual([used, KeyMetadata!.KeyManager], [KeyMetadata!.Arn, 'AWS']);
    assert.equal((await codecommit.getRepository({ repositoryName: 'managed' })).repositoryMetadata!.kmsKeyId, used);
    const user = await makeUser('codecommit:*');
    assert.equal(await read('managed', new CodeCommit({ ...server.client, credentials: user })), 'secret');
    assert.equal((await clone('managed', user)).code, 0);
  });

  it('refuses keys that there are not, or that cannot encrypt', async () => {
    const create = (kmsKeyId: string) => failure(codecommit.createRepository({ repositoryName: 'refused', kmsKeyId }));
    assert.match(await create('alias/none'), /EncryptionKeyNotFoundException/);
    assert.match(await create('00000000-0000-0000-0000-000000000000'), /EncryptionKeyNotFoundException/);
    assert.match(await create('arn:aws:s3:::no-key'), /EncryptionKeyInvalidIdException/);
    const rsa = await newKey(kms, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
    assert.match(await create(rsa.KeyId!), /EncryptionKeyInvalidUsageException/);
    const { KeyId } = await newKey(kms);
    await kms.disableKey({ KeyId });
    assert.match(await create(KeyId!), /EncryptionKeyDisabledException/);
    await kms.scheduleKeyDeletion({ KeyId });
    assert.match(await create(KeyId!), /EncryptionKeyUnavailableException/);
    assert.match(await failure(codecommit.getRepository({ repositoryName: 'refused' })), /RepositoryDoesNotExistException/);
  });

  it('is closed while its key is disabled or pending deletion, and open when it is enabled again', async () => {
    const { KeyId, Arn } = await newKey(kms);
    assert.equal(await newRepository('closed', KeyId), Arn);
    const work = path.join(home, 'work');
    await git(home, ['clone', '-q', url('closed'), work], env('closed'));
    await writeFile(path.join(work, 'b.txt'), 'more');
    await git(work, ['add', '.']);
    await git(work, ['commit', '-qm', 'more']);
    for (const [close, open, error] of [
      [() => kms.disableKey({ KeyId }), () => kms.enableKey({ KeyId }), /EncryptionKeyDisabledException.*is disabled/],
      [
        () => kms.scheduleKeyDeletion({ KeyId }),
        async () => {
          await kms.cancelKeyDeletion({ KeyId });
          await kms.enableKey({ KeyId });
        },
        /EncryptionKeyUnavailableException.*is pending deletion/,
      ],
    ] as const) {
      assert.equal(await read('closed'), 'secret');
      await close();
      const putFiles = [{ filePath: 'c.txt', fileContent: Buffer.from('x') }];
      for (const call of [
        () => read('closed'),
        () => codecommit.getFolder({ repositoryName: 'closed', folderPath: '/' }),
        () => codecommit.getDifferences({ repositoryName: 'closed', afterCommitSpecifier: 'main' }),
        () => codecommit.createCommit({ repositoryName: 'closed', branchName: 'main', putFiles }),
      ]) {
        assert.match(await failure(call()), error);
      }
      for (const { code, stderr } of [
        await clone('closed'),
        await tryGit(work, ['ls-remote', 'origin'], env('closed')),
        await tryGit(work, ['push', 'origin', 'HEAD:main'], env('closed')),
      ]) {
        assert.notEqual(code, 0);
        assert.match(stderr, /The encryption key of the repository cannot be used: .* is (disabled|pending deletion)/);
      }
      assert.equal((await codecommit.getRepository({ repositoryName: 'closed' })).repositoryMetadata!.kmsKeyId, Arn);
      await open();
    }
    assert.equal(await read('closed'), 'secret');
    await git(work, ['push', '-q', 'origin', 'HEAD:main'], env('closed'));
    assert.equal((await clone('closed')).code, 0);
  });

  it('asks whoever uses it for the right to use the key', async () => {
    const { KeyId } = await newKey(kms);
    await newRepository('asked', KeyId);
    const [without, having] = [await makeUser('codecommit:*'), await makeUser('codecommit:*', 'kms:Decrypt')];
    const of = (credentials: GitKey) => new CodeCommit({ ...server.client, credentials });
    assert.equal(await read('asked', of(having)), 'secret');
    assert.match(await failure(read('asked', of(without))), /EncryptionKeyAccessDeniedException.*kms:Decrypt/);
    assert.equal((await clone('asked', having)).code, 0);
    assert.match((await clone('asked', without)).stderr, /The encryption key of the repository cannot be used: .*kms:Decrypt/);
    assert.match(
      await failure(of(having).createRepository({ repositoryName: 'not-made', kmsKeyId: KeyId })),
      /EncryptionKeyAccessDeniedException/,
    );
  });

  it('changes its key by one row: no blob is written, and the old key is not needed any more', async () => {
    const [one, two] = [await newKey(kms), await newKey(kms)];
    await newRepository('moved', one.KeyId);
    const blobs = async () => (await readdir(path.join(home, 'data', 'blobs', 'data'), { recursive: true })).sort();
    const stored = await blobs();
    const { repositoryId } = (await codecommit.getRepository({ repositoryName: 'moved' })).repositoryMetadata!;
    const changed = await codecommit.updateRepositoryEncryptionKey({ repositoryName: 'moved', kmsKeyId: two.KeyId });
    assert.deepEqual([changed.repositoryId, changed.kmsKeyId, changed.originalKmsKeyId], [repositoryId, two.Arn, one.Arn]);
    assert.deepEqual(await blobs(), stored);
    await kms.disableKey({ KeyId: one.KeyId });
    assert.equal(await read('moved'), 'secret');

    // A server that has nothing of it at hand reads the same blobs.
    await server.kill();
    await rm(path.join(home, 'data', 'cache', 'git'), { recursive: true });
    await server.restart();
    assert.equal(await read('moved'), 'secret');

    const change = (kmsKeyId: string) => failure(codecommit.updateRepositoryEncryptionKey({ repositoryName: 'moved', kmsKeyId }));
    assert.match(await change(one.KeyId!), /EncryptionKeyDisabledException/);
    assert.match(await change('alias/none'), /EncryptionKeyNotFoundException/);
    await kms.disableKey({ KeyId: two.KeyId });
    assert.match(await change('alias/aws/codecommit'), /EncryptionKeyDisabledException/);
    await kms.enableKey({ KeyId: two.KeyId });
    await codecommit.updateRepositoryEncryptionKey({ repositoryName: 'moved', kmsKeyId: 'alias/aws/codecommit' });
    assert.equal(await read('moved'), 'secret');
    assert.match(
      await failure(codecommit.updateRepositoryEncryptionKey({ repositoryName: 'nowhere', kmsKeyId: two.KeyId })),
      /RepositoryDoesNotExistException/,
    );
  });

  it('is verified as a whole, objects of S3 too; what cannot be opened is named', async () => {
    const { KeyId } = await newKey(kms);
    await newRepository('verified', KeyId);
    const s3 = new S3(server.client);
    await s3.createBucket({ Bucket: 'verified' });
    const underKms = { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: KeyId };
    await s3.putObject({ Bucket: 'verified', Key: 'object', Body: randomBytes(100_000), ...underKms });
    const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
    const verify = () =>
      new Promise<{ code: number; stdout: string }>((resolve) => {
        const child = { env: { ...cleanEnvironment(), PENSTOCK_LOG_LEVEL: 'warn' } };
        execFile(process.execPath, [main, 'verify', '--data', path.join(home, 'data')], child, (error, stdout) =>
          resolve({ code: error ? Number(error.code) : 0, stdout }),
        );
      });
    for (const repositoryName of ['closed', 'asked', 'moved']) await codecommit.deleteRepository({ repositoryName });
    const whole = await verify();
    assert.deepEqual([whole.code, /all is well/.test(whole.stdout)], [0, true], whole.stdout);
    await kms.disableKey({ KeyId });
    const closed = await verify();
    assert.equal(closed.code, 1);
    assert.match(closed.stdout, /repository verified .*: blob git\/.*is disabled/);
    assert.match(closed.stdout, /blob s3\/.*is disabled/);
  });
});
