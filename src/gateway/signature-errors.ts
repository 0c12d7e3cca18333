/**
 * Why a request was not believed, in the words of each protocol family. Codes, texts and statuses are those of the real services: clients
 * decide by them whether to fetch new credentials, to correct their clock, or to give up.
 */
import { AwsError } from '../platform/errors.ts';

/** `json`: JSON and rest-json services; `query`: XML services with Action=…; `s3`: S3 alone. */
export type ErrorFamily = 'json' | 'query' | 's3';

const INVALID_TOKEN = 'The security token included in the request is invalid.';
const MISMATCH = 'The request signature we calculated does not match the signature you provided. Check your';

/** No signature at all. */
export function missingAuthentication(family: ErrorFamily): AwsError {
  if (family === 's3') return new AwsError('AccessDenied', 'Access Denied', { status: 403 });
  if (family === 'query') return new AwsError('MissingAuthenticationToken', 'Request is missing Authentication Token', { status: 403 });
  return new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token', { status: 403 });
}

/** A signature that cannot be read. */
export function incompleteSignature(family: ErrorFamily, message: string): AwsError {
  if (family === 's3') {
    return new AwsError('AuthorizationHeaderMalformed', `The authorization header is malformed; ${message}`, { status: 400 });
  }
  return family === 'query'
    ? new AwsError('IncompleteSignature', message, { status: 400 })
    : new AwsError('IncompleteSignatureException', message, { status: 403 });
}

/** A presigned URL whose parameters cannot be read. */
export function badQueryParameters(family: ErrorFamily, message: string): AwsError {
  return family === 's3'
    ? new AwsError('AuthorizationQueryParametersError', message, { status: 400 })
    : incompleteSignature(family, message);
}

/** The access key does not exist, or is not active. */
export function unknownAccessKey(family: ErrorFamily, accessKeyId: string): AwsError {
  if (family === 's3') {
    return new AwsError('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.', {
      status: 403,
      fields: { AWSAccessKeyId: accessKeyId },
    });
  }
  return new AwsError(family === 'query' ? 'InvalidClientTokenId' : 'UnrecognizedClientException', INVALID_TOKEN, { status: 403 });
}

/** A session token that was not issued here, or not for this access key. */
export function invalidSessionToken(family: ErrorFamily): AwsError {
  if (family === 's3') {
    return new AwsError('InvalidToken', 'The provided token is malformed or otherwise invalid.', { status: 400 });
  }
  return new AwsError(family === 'query' ? 'InvalidClientTokenId' : 'UnrecognizedClientException', INVALID_TOKEN, { status: 403 });
}

export function expiredSessionToken(family: ErrorFamily): AwsError {
  if (family === 's3') return new AwsError('ExpiredToken', 'The provided token has expired.', { status: 400 });
  const message = 'The security token included in the request is expired';
  return family === 'query'
    ? new AwsError('ExpiredToken', message, { status: 403 })
    : new AwsError('ExpiredTokenException', message, { status: 400 });
}

/** `details` go out with S3's answer, as there: what was signed, so that authors of clients can compare. */
export function signatureMismatch(family: ErrorFamily, details: Record<string, string> = {}): AwsError {
  if (family === 's3')
    return new AwsError('SignatureDoesNotMatch', `${MISMATCH} key and signing method.`, { status: 403, fields: details });
  return badSignature(family, `${MISMATCH} AWS Secret Access Key and signing method. Consult the service documentation for details.`);
}

/** A signature that is wrong for another reason than its value, which `message` tells. */
export function badSignature(family: ErrorFamily, message: string): AwsError {
  if (family === 's3') return new AwsError('AccessDenied', message, { status: 403 });
  return new AwsError(family === 'query' ? 'SignatureDoesNotMatch' : 'InvalidSignatureException', message, { status: 403 });
}

/** The client's clock and ours differ by more than `skewMinutes`. */
export function clockSkew(family: ErrorFamily, signedAt: Date, now: Date, skewMinutes: number): AwsError {
  if (family === 's3') {
    return new AwsError('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.', {
      status: 403,
      fields: {
        RequestTime: basicTime(signedAt),
        ServerTime: now.toISOString().replace(/\.\d+Z$/, 'Z'),
        MaxAllowedSkewMilliseconds: String(skewMinutes * 60_000),
      },
    });
  }
  const early = signedAt < now;
  const bound = new Date(now.getTime() + (early ? -skewMinutes : skewMinutes) * 60_000);
  const words = early ? ['Signature expired', 'is now earlier than', '-'] : ['Signature not yet current', 'is still later than', '+'];
  return badSignature(
    family,
    `${words[0]}: ${basicTime(signedAt)} ${words[1]} ${basicTime(bound)} (${basicTime(now)} ${words[2]} ${skewMinutes} min.)`,
  );
}

/** The body is not what its `x-amz-content-sha256` header says. */
export function contentHashMismatch(claimed: string, computed: string): AwsError {
  return new AwsError('XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.", {
    status: 400,
    fields: { ClientComputedContentSHA256: claimed, S3ComputedContentSHA256: computed },
  });
}

/** `20261122T193707Z` */
export function basicTime(date: Date): string {
  return date.toISOString().replace(/[-:]|\.\d{3}/g, '');
}
