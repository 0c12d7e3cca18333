import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type CertificateAuthority, createAuthority, openAuthority } from './authority.ts';
import { createKeyring } from './keyring.ts';
import { serverCertificate } from './server-certificate.ts';

describe('the certificate of the HTTPS port', () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'penstock-tls-'));
  const file = path.join(dataDir, 'tls.sealed');
  const keyring = createKeyring(Buffer.alloc(32, 1));
  let authority: CertificateAuthority;
  const get = (names = ['localhost', '127.0.0.1'], by = authority, keys = keyring) => serverCertificate(dataDir, keys, by, names);

  before(async () => {
    authority = await openAuthority(await createAuthority());
  });
  after(() => rmSync(dataDir, { recursive: true }));

  it('is kept between starts, its key sealed', async () => {
    const first = await get();
    assert.deepEqual(await get(), first);
    const certificate = new X509Certificate(first.certificate);
    assert.ok(certificate.verify(new X509Certificate(authority.certificate).publicKey));
    assert.equal(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1');
    assert.ok(!readFileSync(file, 'utf8').includes('PRIVATE'));
  });

  it('is made anew for other names, by another authority, when it cannot be read, and when it ends soon', async () => {
    const first = await get();
    const named = await get(['localhost', '10.0.0.1']);
    assert.notDeepEqual(named, first);
    const other = await openAuthority(await createAuthority());
    const byOther = await get(['localhost', '10.0.0.1'], other);
    assert.ok(new X509Certificate(byOther.certificate).verify(new X509Certificate(other.certificate).publicKey));
    const otherKeys = await get(['localhost', '10.0.0.1'], other, createKeyring(Buffer.alloc(32, 2)));
    assert.notDeepEqual(otherKeys, byOther);
    writeFileSync(file, 'broken');
    const again = await get();
    assert.notDeepEqual(again, otherKeys);
    const names = ['localhost', '127.0.0.1'];
    const identity = await authority.issueServer(names, 30);
    writeFileSync(file, keyring.seal('tls', Buffer.from(JSON.stringify({ names, identity }))));
    assert.notDeepEqual(await get(), identity);
  });
});
