/**
 * The password that CodeCommit's credential helper and git-remote-codecommit make: a Signature Version 4 over path and host, as user
 * `AKID` or `AKID%SESSIONTOKEN` with password `YYYYMMDDTHHMMSSZ<64 hex>`. The region is signed but not told.
 */
import { sha256, uriDecode } from './canonical-request.ts';
import { ALGORITHM, parseBasicTime } from './signature.ts';
import { sameSignature, scopeText, sign, signingKey } from './signing-key.ts';

export interface GitCredential {
  accessKeyId: string;
  sessionToken: string | undefined;
  /** `YYYYMMDDTHHMMSS`, without the Z, as signed. */
  timestamp: string;
  signature: string;
}

/** Fifteen minutes either way: as long as AWS lets such a password live. */
const VALID_MS = 15 * 60_000;

/** Undefined when user and password are not of this form (a service-specific credential, most likely). */
export function parseGitCredential(user: string, password: string): GitCredential | undefined {
  const found = /^(\d{8}T\d{6})Z?([0-9a-f]{64})$/.exec(password);
  if (!found) return undefined;
  const [accessKeyId = '', ...rest] = user.split('%');
  if (!/^[A-Z0-9]{16,128}$/.test(accessKeyId)) return undefined;
  const token = rest.length === 0 ? undefined : uriDecode(rest.join('%'));
  return { accessKeyId, sessionToken: token, timestamp: found[1]!, signature: found[2]! };
}

/**
 * The region that the credential was signed for, or undefined: wrong secret, path or host, or too old. `regions` are tried in their order.
 * The helper signs the host without its port, git-remote-codecommit with it; both are tried.
 */
export function verifyGitCredential(
  credential: GitCredential,
  secret: string,
  request: { path: string; host: string; regions: readonly string[]; now: Date },
): string | undefined {
  const signedAt = parseBasicTime(`${credential.timestamp}Z`);
  if (!signedAt || Math.abs(request.now.getTime() - signedAt.getTime()) > VALID_MS) return undefined;
  const date = credential.timestamp.slice(0, 8);
  const bareHost = request.host.replace(/:\d+$/, '');
  const hashes = [...new Set([bareHost, request.host])].map((host) => sha256(`GIT\n${request.path}\n\nhost:${host}\n\nhost\n`));
  return request.regions.find((region) => {
    const scope = { date, region, service: 'codecommit' };
    const key = signingKey(secret, scope);
    return hashes.some((hash) =>
      sameSignature(sign(key, `${ALGORITHM}\n${credential.timestamp}\n${scopeText(scope)}\n${hash}`), credential.signature),
    );
  });
}
