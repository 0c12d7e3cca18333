/**
 * HTTPS to an identity provider, which may have a certificate that no public authority signed: it is trusted if an authority vouches for it, or if
 * one of the certificates that it shows is known by its thumbprint (SHA-1, as IAM keeps them).
 */
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';

const TIMEOUT_MS = 5000;
const MAX_BYTES = 1024 * 1024;

/** The provider answers, but not with a certificate that is trusted. */
export class UntrustedProvider extends Error {
  override readonly name = 'UntrustedProvider';
}

/** One JSON document. Follows no redirects; throws UntrustedProvider, or why nothing came. */
export function getProviderJson(url: string, thumbprints: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: false, rejectUnauthorized: false, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_BYTES) call.destroy(new Error(`${url} answers with more than ${MAX_BYTES} bytes.`));
        else chunks.push(chunk);
      });
      response.once('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`${url} answers with status ${response.statusCode}.`));
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()));
        } catch {
          reject(new Error(`${url} does not answer with JSON.`));
        }
      });
      response.once('error', reject);
    });
    // Before the request is sent: what is not trusted learns nothing.
    call.once('socket', (socket) => {
      socket.once('secureConnect', () => {
        if (!isTrusted(socket as TLSSocket, new URL(url).hostname, thumbprints))
          call.destroy(new UntrustedProvider(`The certificate of ${url} is not trusted.`));
      });
    });
    call.once('timeout', () => call.destroy(new Error(`${url} did not answer within ${TIMEOUT_MS / 1000} seconds.`)));
    call.once('error', reject);
    call.end();
  });
}

/** The thumbprint of the highest certificate that the provider shows. */
export function topThumbprint(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 443), servername: hostname, rejectUnauthorized: false }, () => {
      resolve(thumbprintOf(signedChain(socket).at(-1)!));
      socket.destroy();
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} seconds`)));
    socket.once('error', reject);
  });
}

/** By an authority; or by a thumbprint, if the server's certificate is the provider's and each is really signed by the next. */
function isTrusted(socket: TLSSocket, host: string, thumbprints: readonly string[]): boolean {
  if (socket.authorized) return true;
  const chain = signedChain(socket);
  const now = Date.now();
  if (!chain[0]?.checkHost(host) && !chain[0]?.checkIP(host)) return false;
  if (chain.some((one) => Date.parse(one.validFrom) > now || Date.parse(one.validTo) < now)) return false;
  return chain.some((one) => thumbprints.includes(thumbprintOf(one)));
}

/**
 * The server's own certificate first, as far as the signatures hold. They must be looked at: anybody can show a true authority's certificate
 * behind one that it never signed.
 */
function signedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let shown: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (shown?.raw) {
    const certificate = new X509Certificate(shown.raw);
    const last = chain.at(-1);
    if (last && !last.verify(certificate.publicKey)) break;
    chain.push(certificate);
    // A root is its own issuer.
    shown = shown.issuerCertificate === shown ? undefined : shown.issuerCertificate;
  }
  return chain;
}

function thumbprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint.replaceAll(':', '').toLowerCase();
}
