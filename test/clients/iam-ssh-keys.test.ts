import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { IAM } from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let iam: IAM;
let home: string;

before(async () => {
  server = await startServer();
  iam = new IAM(server.client);
  home = await mkdtemp(path.join(tmpdir(), 'penstock-ssh-keys-'));
});
after(async () => {
  iam?.destroy();
  await server?.stop();
  await rm(home, { recursive: true, force: true });
});

let made = 0;

/** A new key by ssh-keygen; its public half. */
async function newKey(...options: string[]): Promise<{ file: string; text: string }> {
  const file = path.join(home, `key-${made++}`);
  execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'ada@example.com', '-f', file, ...options]);
  return { file, text: (await readFile(`${file}.pub`, 'utf8')).trim() };
}

const keygen = (...args: string[]) => execFileSync('ssh-keygen', args).toString().trim();

test('keys of every type are kept, and given back as a line or as PEM, with the fingerprint that ssh-keygen tells', async () => {
  await iam.createUser({ UserName: 'types' });
  for (const options of [
    ['-t', 'rsa', '-b', '2048'],
    ['-t', 'ed25519'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'ecdsa', '-b', '521'],
  ]) {
    const { file, text } = await newKey(...options);
    const { SSHPublicKey: key } = await iam.uploadSSHPublicKey({ UserName: 'types', SSHPublicKeyBody: `${text}\n` });
    assert.match(key!.SSHPublicKeyId!, /^APKA[A-Z2-7]{16}$/);
    assert.equal(key!.Status, 'Active');
    assert.ok(keygen('-l', '-E', 'md5', '-f', file).includes(`MD5:${key!.Fingerprint} `), key!.Fingerprint);
    const asked = { UserName: 'types', SSHPublicKeyId: key!.SSHPublicKeyId! };
    const line = await iam.getSSHPublicKey({ ...asked, Encoding: 'SSH' });
    assert.equal(line.SSHPublicKey!.SSHPublicKeyBody, text);
    const pem = (await iam.getSSHPublicKey({ ...asked, Encoding: 'PEM' })).SSHPublicKey!.SSHPublicKeyBody!;
    if (!options.includes('ed25519')) assert.equal(pem.trim(), keygen('-e', '-m', 'PKCS8', '-f', `${file}.pub`));
    // The other forms are the same key.
    for (const SSHPublicKeyBody of [pem, keygen('-e', '-f', `${file}.pub`)]) {
      await refused(iam.uploadSSHPublicKey({ UserName: 'types', SSHPublicKeyBody }), 'DuplicateSSHPublicKeyException');
    }
    await iam.deleteSSHPublicKey(asked);
    const again = await iam.uploadSSHPublicKey({ UserName: 'types', SSHPublicKeyBody: pem });
    assert.equal(again.SSHPublicKey!.Fingerprint, key!.Fingerprint);
  }
});

test('five a user at most; listed by pages, switched off and on, deleted before their user', async () => {
  const UserName = 'five';
  await iam.createUser({ UserName });
  const texts = await Promise.all(Array.from({ length: 6 }, async () => (await newKey('-t', 'ed25519')).text));
  const ids: string[] = [];
  for (const SSHPublicKeyBody of texts.slice(0, 5)) {
    ids.push((await iam.uploadSSHPublicKey({ UserName, SSHPublicKeyBody })).SSHPublicKey!.SSHPublicKeyId!);
  }
  await refused(
    iam.uploadSSHPublicKey({ UserName, SSHPublicKeyBody: texts[5] }),
    'LimitExceededException',
    'Cannot exceed quota for SSHPublicKeysPerUser: 5',
  );
  const first = await iam.listSSHPublicKeys({ UserName, MaxItems: 3 });
  assert.equal(first.IsTruncated, true);
  const second = await iam.listSSHPublicKeys({ UserName, MaxItems: 3, Marker: first.Marker });
  assert.equal(second.IsTruncated, false);
  const listed = [...first.SSHPublicKeys!, ...second.SSHPublicKeys!];
  assert.deepEqual(
    listed.map((key) => key.SSHPublicKeyId),
    ids.toSorted(),
  );
  const asked = { UserName, SSHPublicKeyId: ids[0]! };
  await iam.updateSSHPublicKey({ ...asked, Status: 'Inactive' });
  assert.equal((await iam.getSSHPublicKey({ ...asked, Encoding: 'SSH' })).SSHPublicKey!.Status, 'Inactive');
  await refused(iam.updateSSHPublicKey({ ...asked, Status: 'Expired' }), 'InvalidInputException');
  await refused(iam.deleteUser({ UserName }), 'DeleteConflictException', 'Cannot delete entity, must delete SSH public keys first.');
  for (const SSHPublicKeyId of ids) await iam.deleteSSHPublicKey({ UserName, SSHPublicKeyId });
  await refused(iam.deleteSSHPublicKey(asked), 'NoSuchEntityException', `The Public Key with id ${ids[0]} cannot be found.`);
  await iam.deleteUser({ UserName });
  await refused(iam.listSSHPublicKeys({ UserName }), 'NoSuchEntityException');
});

test('what is no key, too weak a one, or of no known form is refused', async () => {
  const UserName = 'hostile';
  await iam.createUser({ UserName });
  const upload = (SSHPublicKeyBody: string) => iam.uploadSSHPublicKey({ UserName, SSHPublicKeyBody });
  const pem = (bits: number) =>
    generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const { text } = await newKey('-t', 'ed25519');
  const [type, base64] = text.split(' ') as [string, string];
  const invalid = [
    `ssh-rsa ${base64}`,
    `${type} ${base64.slice(0, -8)}`,
    `${type} ${base64}AAAA`,
    'ssh-dss AAAAB3NzaC1kc3MAAAADAQABAAAAAQE=',
    `ssh-rsa ${Buffer.from('\0\0\0\x07ssh-rsa\xff\xff\xff\xff', 'latin1').toString('base64')}`,
    'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAB',
    pem(1024),
    '-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----',
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "x"\nbm8ga2V5\n---- END SSH2 PUBLIC KEY ----',
  ];
  for (const body of invalid) await refused(upload(body), 'InvalidPublicKeyException', undefined, 400);
  for (const body of ['hello', `${text}\n${text}`, `from="*" ${text}`, '-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----']) {
    await refused(upload(body), 'UnrecognizedPublicKeyEncodingException', undefined, 400);
  }
  await refused(upload(pem(1024)), 'InvalidPublicKeyException', /2048 and 16384 bits; this one has 1024/);
  await refused(
    iam.uploadSSHPublicKey({ UserName: 'nobody', SSHPublicKeyBody: text }),
    'NoSuchEntityException',
    'The user with name nobody cannot be found.',
  );
  assert.deepEqual((await iam.listSSHPublicKeys({ UserName })).SSHPublicKeys, []);
});
