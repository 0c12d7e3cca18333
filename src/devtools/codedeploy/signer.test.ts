import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { Certificate, ContentInfo, SignedData } from 'pkijs';
import { type CertificateAuthority, createAuthority, openAuthority } from '../../platform/authority.ts';
import { createSigner, type Signer } from './signer.ts';
import { specificationText } from './specification.ts';

const text = specificationText({
  id: 'd-ABCDEFGHI',
  application_name: 'Shop',
  group_id: '3fd0b5b1-3c5e-4a4e-9d0c-0f4f1c6b9a11',
  group_name: 'Prod',
  creator: 'user',
  revision: { revisionType: 'S3', s3Location: { bucket: 'b', key: 'ü.zip', bundleType: 'zip', eTag: 'abc' } },
  options: { fileExistsBehavior: 'OVERWRITE' },
  restart_of: null,
});

function bytesOf(pem: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64'));
}

describe('signed specifications', () => {
  let authority: CertificateAuthority;
  let signer: Signer;
  let pem: string;

  before(async () => {
    authority = await openAuthority(await createAuthority());
    signer = createSigner(authority, () => new Date());
    pem = await signer.sign(text);
  });

  async function verify(message: string, trusted: string): Promise<boolean> {
    const signed = new SignedData({ schema: ContentInfo.fromBER(bytesOf(message)).content });
    const trustedCerts = [Certificate.fromBER(bytesOf(trusted))];
    return signed.verify({ signer: 0, trustedCerts, checkChain: true }).catch(() => false);
  }

  test('hold the text and verify under the local authority', async () => {
    const signed = new SignedData({ schema: ContentInfo.fromBER(bytesOf(pem)).content });
    assert.equal(Buffer.from(signed.encapContentInfo.eContent!.getValue()).toString(), text);
    assert.equal(await verify(pem, authority.certificate), true);
  });

  test('do not verify under another authority', async () => {
    const other = await openAuthority(await createAuthority());
    assert.equal(await verify(pem, other.certificate), false);
  });

  test('do not verify once changed', async () => {
    const bytes = Buffer.from(bytesOf(pem));
    bytes[bytes.indexOf('d-ABCDEFGHI')]! ^= 1;
    assert.equal(await verify(bytes.toString('base64'), authority.certificate), false);
  });

  test('are understood by OpenSSL, which AWS’s agent uses', (context) => {
    try {
      execFileSync('openssl', ['version']);
    } catch {
      context.skip('openssl is not installed');
      return;
    }
    const folder = mkdtempSync(path.join(tmpdir(), 'penstock-signer-'));
    try {
      writeFileSync(path.join(folder, 'ca.pem'), authority.certificate);
      writeFileSync(path.join(folder, 'message.pem'), pem);
      const shown = execFileSync(
        'openssl',
        ['smime', '-verify', '-inform', 'PEM', '-in', 'message.pem', '-CAfile', 'ca.pem', '-purpose', 'any', '-binary'],
        { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      );
      assert.equal(shown, text);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
