/** Where S3 departs from rest-xml: names of result elements, sub-resources in the query, its own error document and statuses. */
import type { ServiceModel } from '../../platform/model.ts';

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

export function isS3(model: ServiceModel): boolean {
  return model.metadata.serviceId === 'S3';
}

/** Root elements that the model does not tell; the others are named after their payload member. */
const RESULT_NAMES: Record<string, string> = {
  CompleteMultipartUpload: 'CompleteMultipartUploadResult',
  CreateMultipartUpload: 'InitiateMultipartUploadResult',
  DeleteObjects: 'DeleteResult',
  GetBucketAcl: 'AccessControlPolicy',
  GetBucketLocation: 'LocationConstraint',
  GetBucketNotificationConfiguration: 'NotificationConfiguration',
  GetBucketTagging: 'Tagging',
  GetBucketVersioning: 'VersioningConfiguration',
  GetObjectAcl: 'AccessControlPolicy',
  GetObjectAttributes: 'GetObjectAttributesResponse',
  GetObjectTagging: 'Tagging',
  ListBuckets: 'ListAllMyBucketsResult',
  ListMultipartUploads: 'ListMultipartUploadsResult',
  ListObjectVersions: 'ListVersionsResult',
  ListObjects: 'ListBucketResult',
  ListObjectsV2: 'ListBucketResult',
  ListParts: 'ListPartsResult',
  UploadPartCopy: 'CopyPartResult',
};

export function s3ResultName(operationName: string): string {
  return RESULT_NAMES[operationName] ?? `${operationName}Result`;
}

/** Sub-resources of a bucket by query key: what follows `Get`, `Put` or `Delete` in the operation's name. */
const BUCKET_SUBRESOURCES: Record<string, string> = {
  accelerate: 'BucketAccelerateConfiguration',
  acl: 'BucketAcl',
  analytics: 'BucketAnalyticsConfiguration',
  cors: 'BucketCors',
  encryption: 'BucketEncryption',
  'intelligent-tiering': 'BucketIntelligentTieringConfiguration',
  inventory: 'BucketInventoryConfiguration',
  lifecycle: 'BucketLifecycleConfiguration',
  location: 'BucketLocation',
  logging: 'BucketLogging',
  metrics: 'BucketMetricsConfiguration',
  notification: 'BucketNotificationConfiguration',
  'object-lock': 'ObjectLockConfiguration',
  ownershipControls: 'BucketOwnershipControls',
  policy: 'BucketPolicy',
  policyStatus: 'BucketPolicyStatus',
  publicAccessBlock: 'PublicAccessBlock',
  replication: 'BucketReplication',
  requestPayment: 'BucketRequestPayment',
  tagging: 'BucketTagging',
  versioning: 'BucketVersioning',
  website: 'BucketWebsite',
};

const OBJECT_SUBRESOURCES: Record<string, string> = {
  acl: 'ObjectAcl',
  'legal-hold': 'ObjectLegalHold',
  retention: 'ObjectRetention',
  tagging: 'ObjectTagging',
  torrent: 'ObjectTorrent',
};

const VERBS: Record<string, string> = { GET: 'Get', PUT: 'Put', DELETE: 'Delete' };

/** The operation that a sub-resource in the query names, known to us or not; undefined when the query names none. */
export function s3Subresource(method: string, parts: string[], query: URLSearchParams): { key: string; name: string } | undefined {
  const ofObject = parts.length > 1 && parts[1] !== '';
  if (parts.length === 0) return undefined;
  if (ofObject && method === 'POST' && query.has('restore')) return { key: 'restore', name: 'RestoreObject' };
  if (ofObject && method === 'POST' && query.has('select')) return { key: 'select', name: 'SelectObjectContent' };
  const table = ofObject ? OBJECT_SUBRESOURCES : BUCKET_SUBRESOURCES;
  for (const key of query.keys()) {
    if (!Object.hasOwn(table, key)) continue;
    if (method === 'DELETE' && key === 'lifecycle') return { key, name: 'DeleteBucketLifecycle' };
    return { key, name: `${VERBS[method] ?? method}${table[key]}` };
  }
  return undefined;
}

/** Statuses of S3's errors that are not 400: API reference, "List of error codes". */
export const S3_STATUSES: Record<string, number> = {
  AccessDenied: 403,
  AccountProblem: 403,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  ConditionalRequestConflict: 409,
  Forbidden: 403,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidBucketState: 409,
  InvalidObjectState: 403,
  InvalidPayer: 403,
  InvalidRange: 416,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchBucketPolicy: 404,
  NoSuchKey: 404,
  NoSuchPublicAccessBlockConfiguration: 404,
  NoSuchTagSet: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotFound: 404,
  NotImplemented: 501,
  NotImplementedException: 501,
  NotModified: 304,
  OperationAborted: 409,
  PermanentRedirect: 301,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  ServerSideEncryptionConfigurationNotFoundError: 404,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
};

/** How S3 calls what other services call otherwise. */
const S3_CODES: Record<string, string> = { AccessDeniedException: 'AccessDenied', InternalFailure: 'InternalError' };

export function s3Code(code: string): string {
  return S3_CODES[code] ?? code;
}
