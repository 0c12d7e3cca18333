/** Certificates for the agent's tests: an authority that signs deployment specifications, and TLS servers. */
import 'reflect-metadata';
import { KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { OctetString } from 'asn1js';
import { Certificate, ContentInfo, EncapsulatedContentInfo, IssuerAndSerialNumber, SignedData, SignerInfo } from 'pkijs';

x509.cryptoProvider.set(webcrypto as never);
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 };
const DAY_MS = 86_400_000;

/** An authority and a certificate of it. `sign` makes the PEM of a PKCS#7 message over a text. */
export interface Signer {
  caPem: string;
  sign(text: string): Promise<string>;
}

/** `purposes`: limits the signer's certificate; `days`: negative for one that is over. */
export async function createSigner({ purposes, days = 1 }: { purposes?: string[]; days?: number } = {}): Promise<Signer> {
  const caKeys = await webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify']);
  const dates = { notBefore: new Date(Date.now() - 10 * DAY_MS), notAfter: new Date(Date.now() + 10 * DAY_MS) };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=Test authority ${Math.random()}`,
    ...dates,
    keys: caKeys,
    signingAlgorithm: RSA,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const keys = await webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify']);
  const signer = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=Test signer',
    issuer: ca.subject,
    notBefore: dates.notBefore,
    notAfter: new Date(Date.now() + days * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: RSA,
    extensions: [new x509.BasicConstraintsExtension(false), ...(purposes ? [new x509.ExtendedKeyUsageExtension(purposes)] : [])],
  });
  const certificate = Certificate.fromBER(new Uint8Array(new X509Certificate(signer.toString('pem')).raw));

  return {
    caPem: ca.toString('pem'),
    async sign(text) {
      const message = new SignedData({
        version: 1,
        encapContentInfo: new EncapsulatedContentInfo({
          eContentType: '1.2.840.113549.1.7.1',
          eContent: new OctetString({ valueHex: new Uint8Array(Buffer.from(text)).buffer }),
        }),
        signerInfos: [
          new SignerInfo({
            version: 1,
            sid: new IssuerAndSerialNumber({ issuer: certificate.issuer, serialNumber: certificate.serialNumber }),
          }),
        ],
        certificates: [certificate],
      });
      await message.sign(keys.privateKey as never, 0, 'SHA-256');
      const info = new ContentInfo({ contentType: '1.2.840.113549.1.7.2', content: message.toSchema(true) });
      const base64 = Buffer.from(info.toSchema().toBER(false)).toString('base64');
      return `-----BEGIN PKCS7-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END PKCS7-----\n`;
    },
  };
}

/** A self-signed certificate for a TLS server at an IP address, in PEM. */
export async function createTlsIdentity(address: string): Promise<{ key: string; certificate: string }> {
  const keys = await webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test server',
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    keys,
    signingAlgorithm: RSA,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: address }])],
  });
  const key = KeyObject.from(keys.privateKey as never).export({ type: 'pkcs8', format: 'pem' });
  return { key: String(key), certificate: certificate.toString('pem') };
}
