/** KMS when its server is killed: what was acknowledged can be decrypted, and what is due is done after the restart. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import * as KMS from '@aws-sdk/client-kms';
import pg from 'pg';
import { failure, kmsClient, newKey } from '../support/kms.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startServer, type TestServer } from '../support/server.ts';

let postgres: TestPostgres;
let server: TestServer;
let kms: KMS.KMSClient;
before(async () => {
  postgres = await startPostgres();
  server = await startServer({ env: { PENSTOCK_DATABASE_URL: postgres.url } });
  kms = kmsClient(server);
});
after(async () => {
  await server?.stop();
  await postgres?.[Symbol.asyncDispose]();
});

/** As if time had passed while no server ran. */
async function change(statement: string, id: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    await client.query(statement, [id]);
  } finally {
    await client.end();
  }
}

test('decrypts whatever it acknowledged, when it is killed while a key rotates', async () => {
  const KeyId = (await newKey(kms)).KeyId!;
  const acknowledged: { text: Uint8Array; plain: string }[] = [];
  let running = true;
  const encrypting = Array.from({ length: 4 }, async (_, worker) => {
    for (let n = 0; running && n < 100; n++) {
      const plain = `${worker}:${n}`;
      try {
        const { CiphertextBlob } = await kms.send(new KMS.EncryptCommand({ KeyId, Plaintext: Buffer.from(plain) }));
        acknowledged.push({ text: CiphertextBlob!, plain });
      } catch {
        return;
      }
    }
  });
  let rotations = 0;
  const rotating = (async () => {
    for (;;) {
      try {
        await kms.send(new KMS.RotateKeyOnDemandCommand({ KeyId }));
        rotations++;
        if (rotations === 8) void server.kill();
      } catch {
        return;
      }
    }
  })();
  await Promise.all([...encrypting, rotating]);
  running = false;
  await server.restart();
  kms = kmsClient(server);
  const { Rotations } = await kms.send(new KMS.ListKeyRotationsCommand({ KeyId }));
  assert.ok(Rotations!.length >= rotations, 'no acknowledged rotation is lost');
  assert.equal(Rotations!.filter((one) => one.KeyMaterialState === 'CURRENT').length, 1);
  assert.ok(acknowledged.length > 0);
  for (const { text, plain } of acknowledged) {
    const { Plaintext } = await kms.send(new KMS.DecryptCommand({ CiphertextBlob: text }));
    assert.equal(Buffer.from(Plaintext!).toString(), plain);
  }
});

test('deletes and rotates after the restart what became due meanwhile', async () => {
  const [gone, kept, rotated] = [await newKey(kms), await newKey(kms), await newKey(kms)];
  for (const { KeyId } of [gone, kept]) await kms.send(new KMS.ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
  await kms.send(new KMS.EnableKeyRotationCommand({ KeyId: rotated.KeyId, RotationPeriodInDays: 90 }));
  await server.kill();
  await change(`update kms.keys set deletion_at = now() - interval '1 minute' where id = $1`, gone.KeyId!);
  await change(`update kms.keys set next_rotation_at = now() - interval '1 minute' where id = $1`, rotated.KeyId!);
  await server.restart();
  kms = kmsClient(server);
  const found = () =>
    kms.send(new KMS.DescribeKeyCommand({ KeyId: gone.KeyId })).then(
      () => true,
      () => false,
    );
  while (await found()) await delay(20);
  assert.match(await failure(kms.send(new KMS.DescribeKeyCommand({ KeyId: gone.KeyId }))), /NotFoundException/);
  assert.equal((await kms.send(new KMS.DescribeKeyCommand({ KeyId: kept.KeyId }))).KeyMetadata!.KeyState, 'PendingDeletion');
  const rotations = async () => (await kms.send(new KMS.ListKeyRotationsCommand({ KeyId: rotated.KeyId }))).Rotations!;
  while ((await rotations()).length === 0) await delay(20);
  assert.deepEqual(
    (await rotations()).map((one) => one.RotationType),
    ['AUTOMATIC'],
  );
});

test('a repository whose key is changed while the server is killed opens with the key that it names', async () => {
  const keys = [await newKey(kms), await newKey(kms)];
  const repositoryName = 'changing';
  let codecommit = new CodeCommit(server.client);
  await codecommit.createRepository({ repositoryName, kmsKeyId: keys[0]!.KeyId });
  const putFiles = [{ filePath: 'a.txt', fileContent: Buffer.from('kept') }];
  await codecommit.createCommit({ repositoryName, branchName: 'main', putFiles });
  let acknowledged = keys[0]!.Arn;
  for (let n = 1; ; n++) {
    const call = codecommit.updateRepositoryEncryptionKey({ repositoryName, kmsKeyId: keys[n % 2]!.KeyId });
    if (n === 10) void server.kill();
    const changed = await call.catch(() => undefined);
    if (!changed) break;
    acknowledged = changed.kmsKeyId;
    assert.equal(changed.originalKmsKeyId, keys[(n + 1) % 2]!.Arn);
  }
  await server.restart();
  kms = kmsClient(server);
  codecommit = new CodeCommit(server.client);
  const { kmsKeyId } = (await codecommit.getRepository({ repositoryName })).repositoryMetadata!;
  // The last change may have been made without being told.
  assert.ok(kmsKeyId === acknowledged || kmsKeyId === keys.find((key) => key.Arn !== acknowledged)!.Arn);
  const other = keys.find((key) => key.Arn !== kmsKeyId)!;
  await kms.send(new KMS.DisableKeyCommand({ KeyId: other.KeyId }));
  const { fileContent } = await codecommit.getFile({ repositoryName, filePath: 'a.txt' });
  assert.equal(Buffer.from(fileContent!).toString(), 'kept');
  await kms.send(new KMS.DisableKeyCommand({ KeyId: kmsKeyId }));
  assert.match(await failure(codecommit.getFile({ repositoryName, filePath: 'a.txt' })), /EncryptionKeyDisabledException/);
});
