/** What happens to keys by themselves as time goes by: a clock that the test moves, a real database. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPlatform, type TestPlatform } from '../../../test/support/platform.ts';
import { SignalHub } from '../../platform/signals.ts';
import { keyWork } from './rotation.ts';
import { kms } from './service.ts';

const DAY_MS = 86_400_000;
const stopped = new AbortController().signal;

let clock = Date.parse('2030-01-01T00:00:00Z');
let opened: TestPlatform;
before(async () => {
  opened = await openPlatform(kms, { now: () => new Date(clock), signals: new SignalHub() });
});
after(() => opened[Symbol.asyncDispose]());

async function newKey(): Promise<string> {
  const { KeyMetadata } = await opened.call('kms', 'CreateKey', {});
  return KeyMetadata!.KeyId;
}

/** The reconciler's calls are by hand here: all that are due, as the sweep makes them. */
async function sweep(): Promise<string[]> {
  const due = await keyWork.pending(opened.platform);
  for (const id of due) await keyWork.run(opened.platform, id, stopped);
  return due;
}

async function events(): Promise<string[]> {
  const jobs = await opened.jobs();
  await opened.clearJobs();
  return jobs.filter((job) => job.task === 'events.deliver').map((job) => `${job.payload.detailType} ${job.payload.detail['key-id']}`);
}

test('a key is deleted when its window has ended, and not before', async () => {
  const [gone, kept] = [await newKey(), await newKey()];
  await opened.call('kms', 'CreateAlias', { AliasName: 'alias/gone', TargetKeyId: gone });
  const { CiphertextBlob } = await opened.call('kms', 'Encrypt', { KeyId: gone, Plaintext: Buffer.from('x') });
  for (const KeyId of [gone, kept]) await opened.call('kms', 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  await opened.call('kms', 'CancelKeyDeletion', { KeyId: kept });
  const timers = (await opened.jobs()).filter((job) => job.task === 'platform.reconcile');
  assert.ok(timers.some((job) => job.payload.kind === 'kms.key' && job.payload.id === gone));

  clock += 7 * DAY_MS - 1000;
  assert.deepEqual(await sweep(), []);
  // Called too early, it does nothing.
  await keyWork.run(opened.platform, gone, stopped);
  assert.equal((await opened.call('kms', 'DescribeKey', { KeyId: gone })).KeyMetadata!.KeyState, 'PendingDeletion');

  clock += 1000;
  await opened.clearJobs();
  assert.deepEqual(await sweep(), [gone]);
  assert.deepEqual(await events(), [`KMS CMK Deletion ${gone}`]);
  await keyWork.run(opened.platform, gone, stopped);
  assert.deepEqual(await events(), []);
  for (const KeyId of [gone, 'alias/gone']) {
    await assert.rejects(opened.call('kms', 'DescribeKey', { KeyId }), { code: 'NotFoundException' });
  }
  await assert.rejects(opened.call('kms', 'Decrypt', { CiphertextBlob }), { code: 'AccessDeniedException' });
  const left = await opened.platform.read.selectFrom('kms.materials').select('id').where('key_id', '=', gone).execute();
  assert.deepEqual(left, []);
  assert.equal((await opened.call('kms', 'DescribeKey', { KeyId: kept })).KeyMetadata!.KeyState, 'Disabled');
});

test('a key rotates at the end of each period, once, and not while it is disabled', async () => {
  const KeyId = await newKey();
  await opened.call('kms', 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  const { CiphertextBlob } = await opened.call('kms', 'Encrypt', { KeyId, Plaintext: Buffer.from('first') });
  const types = async () => (await opened.call('kms', 'ListKeyRotations', { KeyId })).Rotations!.map((one) => one.RotationType);
  assert.deepEqual(await sweep(), []);
  clock += 90 * DAY_MS;
  await opened.clearJobs();
  assert.deepEqual(await sweep(), [KeyId]);
  assert.deepEqual(await events(), [`KMS CMK Rotation ${KeyId}`]);
  assert.deepEqual(await sweep(), []);
  await keyWork.run(opened.platform, KeyId, stopped);
  assert.deepEqual(await types(), ['AUTOMATIC']);

  await opened.call('kms', 'DisableKey', { KeyId });
  clock += 400 * DAY_MS;
  assert.deepEqual(await sweep(), []);
  await opened.call('kms', 'EnableKey', { KeyId });
  assert.deepEqual(await sweep(), [KeyId]);
  assert.deepEqual(await types(), ['AUTOMATIC', 'AUTOMATIC']);
  const { NextRotationDate } = await opened.call('kms', 'GetKeyRotationStatus', { KeyId });
  assert.equal(NextRotationDate!.getTime(), clock + 90 * DAY_MS);

  // Asking for the period that it has puts nothing off.
  clock += DAY_MS;
  await opened.call('kms', 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  assert.deepEqual((await opened.call('kms', 'GetKeyRotationStatus', { KeyId })).NextRotationDate, NextRotationDate);
  const { Plaintext } = await opened.call('kms', 'Decrypt', { CiphertextBlob });
  assert.equal(Buffer.from(Plaintext!).toString(), 'first');
});

test('two at once rotate once each, and keep all material', async () => {
  const KeyId = await newKey();
  await Promise.all(Array.from({ length: 4 }, () => opened.call('kms', 'RotateKeyOnDemand', { KeyId })));
  const { Rotations } = await opened.call('kms', 'ListKeyRotations', { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' });
  assert.equal(new Set(Rotations!.map((one) => one.KeyMaterialId)).size, 5);
  assert.deepEqual(
    Rotations!.map((one) => one.KeyMaterialState),
    ['NON_CURRENT', 'NON_CURRENT', 'NON_CURRENT', 'NON_CURRENT', 'CURRENT'],
  );
});
