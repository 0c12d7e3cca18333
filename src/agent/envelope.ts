import { X509Certificate } from 'node:crypto';
import { Certificate, ContentInfo, type ExtKeyUsage, SignedData } from 'pkijs';
import type { Envelope } from './command-service.ts';
import { messageOf } from './failure.ts';

/** The ASN.1 name of PKCS#7 signed data. */
const SIGNED_DATA = '1.2.840.113549.1.7.2';

/** The extension that limits a certificate to purposes, and those that fit: protecting messages, any (RFC 5280, 4.2.1.12). */
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SIGNING_PURPOSES = ['1.3.6.1.5.5.7.3.4', '2.5.29.37.0'];

/** Certificates that specifications must be signed under. */
export interface SignerTrust {
  authorities: Certificate[];
}

/** Reads the certificates of a PEM file's text. */
export function trustIn(pem: string): SignerTrust {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('The signer CA file holds no certificate.');
  return { authorities: blocks.map((block) => Certificate.fromBER(new Uint8Array(new X509Certificate(block).raw))) };
}

/**
 * The text in a `PKCS7/JSON` envelope, once its signature has been checked: the signed content must be attached, unchanged, and the
 * signer's certificate valid now and issued under one of the trusted certificates. Throws if anything of that fails. (AWS's agent
 * parses the envelope and lets every signature pass.)
 */
export async function openEnvelope(envelope: Envelope, trust: SignerTrust): Promise<string> {
  if (envelope.Format !== 'PKCS7/JSON') throw new Error(`Unsupported DeploymentSpecification format: ${envelope.Format}`);
  const signed = parseSignedData(envelope.Payload);
  const content = signed.encapContentInfo.eContent;
  if (!content) throw new Error('Validation of PKCS7 signed message failed: it holds no content.');
  if (signed.signerInfos.length !== 1) throw new Error('Validation of PKCS7 signed message failed: it must have exactly one signer.');

  let verdict: boolean;
  try {
    verdict = await signed.verify({ signer: 0, trustedCerts: trust.authorities, checkChain: true, checkDate: new Date() });
  } catch (error) {
    throw new Error(`Validation of PKCS7 signed message failed: ${messageOf(error)}`);
  }
  if (!verdict) throw new Error('Validation of PKCS7 signed message failed: the signature does not fit the content.');
  checkPurpose(signed);
  return Buffer.from(content.getValue()).toString('utf8');
}

/** A certificate that is limited to another purpose, as one for TLS servers of the same authority is, must not sign specifications. */
function checkPurpose(signed: SignedData): void {
  for (const certificate of signed.certificates ?? []) {
    if (!(certificate instanceof Certificate) || certificate.extensions?.some((extension) => extension.parsedValue?.cA)) continue;
    const usage = certificate.extensions?.find((extension) => extension.extnID === EXTENDED_KEY_USAGE)?.parsedValue as
      | ExtKeyUsage
      | undefined;
    if (usage && !usage.keyPurposes.some((purpose) => SIGNING_PURPOSES.includes(purpose))) {
      throw new Error('Validation of PKCS7 signed message failed: the certificate is not for signing messages.');
    }
  }
}

function parseSignedData(payload: string): SignedData {
  const base64 = /-----BEGIN (PKCS7|CMS)-----([\s\S]+?)-----END \1-----/.exec(payload)?.[2];
  if (base64 === undefined) throw new Error('Validation of PKCS7 signed message failed: it is not in PEM form.');
  try {
    const info = ContentInfo.fromBER(new Uint8Array(Buffer.from(base64, 'base64')));
    if (info.contentType !== SIGNED_DATA) throw new Error(`its type is ${info.contentType}`);
    return new SignedData({ schema: info.content });
  } catch (error) {
    throw new Error(`Validation of PKCS7 signed message failed: it cannot be parsed (${messageOf(error)}).`);
  }
}
