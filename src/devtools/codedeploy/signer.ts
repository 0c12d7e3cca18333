/** Signs deployment specifications: PKCS#7 in PEM, the text attached, by a certificate of the local authority. */
import { webcrypto } from 'node:crypto';
import { OctetString } from 'asn1js';
import { Certificate, ContentInfo, EncapsulatedContentInfo, IssuerAndSerialNumber, SignedData, SignerInfo } from 'pkijs';
import type { CertificateAuthority, Identity } from '../../platform/authority.ts';

const CERTIFICATE_DAYS = 30;
/** A certificate is used so long; what was signed with it stays valid well after. */
const USED_MS = 7 * 86_400_000;
const PKCS7_DATA = '1.2.840.113549.1.7.1';
const PKCS7_SIGNED_DATA = '1.2.840.113549.1.7.2';

export interface Signer {
  /** `-----BEGIN PKCS7-----` … around the signed text. */
  sign(text: string): Promise<string>;
}

/** Each process has a signing certificate of its own, made when it first needs one and never kept: receivers trust the authority behind it. */
export function createSigner(authority: CertificateAuthority, now: () => Date): Signer {
  let made: { until: number; key: Promise<SigningKey> } | undefined;
  return {
    async sign(text) {
      if (!made || made.until < now().getTime()) {
        made = {
          until: now().getTime() + USED_MS,
          key: authority.issueSigner('Penstock deployment specifications', CERTIFICATE_DAYS).then(open),
        };
        made.key.catch(() => {
          made = undefined;
        });
      }
      return signWith(await made.key, text);
    },
  };
}

interface SigningKey {
  certificate: Certificate;
  key: webcrypto.CryptoKey;
}

async function open({ certificate, privateKey }: Identity): Promise<SigningKey> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  return {
    certificate: Certificate.fromBER(bytesOf(certificate)),
    key: await webcrypto.subtle.importKey('pkcs8', bytesOf(privateKey), algorithm, false, ['sign']),
  };
}

async function signWith({ certificate, key }: SigningKey, text: string): Promise<string> {
  const signed = new SignedData({
    version: 1,
    encapContentInfo: new EncapsulatedContentInfo({
      eContentType: PKCS7_DATA,
      eContent: new OctetString({ valueHex: new Uint8Array(Buffer.from(text)) }),
    }),
    signerInfos: [
      new SignerInfo({
        version: 1,
        sid: new IssuerAndSerialNumber({ issuer: certificate.issuer, serialNumber: certificate.serialNumber }),
      }),
    ],
    certificates: [certificate],
  });
  await signed.sign(key, 0, 'SHA-256');
  const info = new ContentInfo({ contentType: PKCS7_SIGNED_DATA, content: signed.toSchema(true) });
  const base64 = Buffer.from(info.toSchema().toBER()).toString('base64');
  return `-----BEGIN PKCS7-----\n${base64.replace(/.{64}(?=.)/g, '$&\n')}\n-----END PKCS7-----\n`;
}

function bytesOf(pem: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64'));
}
