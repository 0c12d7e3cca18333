/** What a client says of an object beside its bytes: headers, metadata, encryption, storage class. */
import type { RequestContext } from '../../platform/service.ts';
import type { Bucket } from './access.ts';
import { invalidArgument, s3Error } from './errors.ts';
import type { Attributes } from './tables.ts';

const MAX_METADATA_BYTES = 2048;
const SYSTEM_HEADERS = [
  'CacheControl',
  'ContentDisposition',
  'ContentLanguage',
  'ContentType',
  'Expires',
  'WebsiteRedirectLocation',
] as const;
/** Those that keep objects at hand; the others would have to be restored before they can be read. */
const STORAGE_CLASSES = ['STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER_IR'];
const OWNER_ACLS = ['private', 'bucket-owner-full-control', 'bucket-owner-read'];

export interface AttributesInput extends Omit<Attributes, 'Metadata'> {
  Metadata?: Record<string, string> | undefined;
  ACL?: string | undefined;
  GrantFullControl?: string | undefined;
  GrantRead?: string | undefined;
  GrantReadACP?: string | undefined;
  GrantWriteACP?: string | undefined;
  SSECustomerAlgorithm?: string | undefined;
  SSECustomerKey?: string | undefined;
  SSEKMSEncryptionContext?: string | undefined;
  ObjectLockMode?: string | undefined;
  ObjectLockLegalHoldStatus?: string | undefined;
}

/** Reads and checks the attributes of a new object. */
export function attributesOf(ctx: RequestContext, bucket: Bucket, input: AttributesInput): Attributes {
  refuseForeign(input);
  return { ...describing(input), ...storing(ctx, bucket, input) };
}

/** The half that CopyObject takes from the source unless told to replace it. */
export function describing(input: AttributesInput): Attributes {
  const attributes: Attributes = {};
  for (const name of SYSTEM_HEADERS) if (input[name]) attributes[name] = input[name];
  const encoding = contentEncoding(input.ContentEncoding);
  if (encoding) attributes.ContentEncoding = encoding;
  attributes.ContentType ??= 'binary/octet-stream';
  if (input.Metadata && Object.keys(input.Metadata).length > 0) attributes.Metadata = checkMetadata(input.Metadata);
  return attributes;
}

/** The half that is asked anew of each copy: where and how it is kept. */
export function storing(ctx: RequestContext, bucket: Bucket, input: AttributesInput): Attributes {
  const attributes: Attributes = encryptionOf(ctx, bucket, input);
  if (input.StorageClass !== undefined && input.StorageClass !== 'STANDARD') {
    if (!STORAGE_CLASSES.includes(input.StorageClass)) throw s3Error('NotImplemented', undefined, { Header: 'x-amz-storage-class' });
    attributes.StorageClass = input.StorageClass;
  }
  return attributes;
}

/** Refuses what would need an access control list, a customer's key or a lock on objects. */
export function refuseForeign(input: AttributesInput): void {
  if (input.SSECustomerAlgorithm !== undefined || input.SSECustomerKey !== undefined) {
    throw s3Error('NotImplemented', undefined, { Header: 'x-amz-server-side-encryption-customer-algorithm' });
  }
  if (input.SSEKMSEncryptionContext !== undefined) {
    throw s3Error('NotImplemented', undefined, { Header: 'x-amz-server-side-encryption-context' });
  }
  if (input.ObjectLockMode !== undefined || input.ObjectLockLegalHoldStatus !== undefined) {
    throw s3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  }
  const grants = input.GrantFullControl ?? input.GrantRead ?? input.GrantReadACP ?? input.GrantWriteACP;
  if (grants !== undefined || (input.ACL !== undefined && !OWNER_ACLS.includes(input.ACL))) {
    throw s3Error('AccessControlListNotSupported');
  }
}

/** Every blob is encrypted with AES-256 whatever is asked for; with `aws:kms` under a data key that only KMS opens (encryption.ts). */
function encryptionOf(ctx: RequestContext, bucket: Bucket, input: AttributesInput): Attributes {
  const usual = bucket.encryption.ApplyServerSideEncryptionByDefault;
  const algorithm = input.ServerSideEncryption ?? usual?.SSEAlgorithm ?? 'AES256';
  if (input.SSEKMSKeyId !== undefined && input.ServerSideEncryption !== 'aws:kms') {
    throw invalidArgument(
      'x-amz-server-side-encryption',
      input.ServerSideEncryption ?? '',
      'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
    );
  }
  if (algorithm === 'AES256') return { ServerSideEncryption: 'AES256' };
  if (algorithm !== 'aws:kms') throw s3Error('NotImplemented', undefined, { Header: 'x-amz-server-side-encryption' });
  const key = input.SSEKMSKeyId ?? (input.ServerSideEncryption === undefined ? usual?.KMSMasterKeyID : undefined);
  const bucketKey = input.BucketKeyEnabled ?? bucket.encryption.BucketKeyEnabled;
  return {
    ServerSideEncryption: 'aws:kms',
    SSEKMSKeyId: kmsKeyArn(ctx.account, bucket.region, key),
    ...(bucketKey && { BucketKeyEnabled: true }),
  };
}

/** A key without an account is the caller's, in the bucket's region. */
function kmsKeyArn(account: string, region: string, key: string | undefined): string {
  if (key?.startsWith('arn:')) return key;
  const name = key === undefined ? 'alias/aws/s3' : key.startsWith('alias/') ? key : `key/${key}`;
  return `arn:aws:kms:${region}:${account}:${name}`;
}

/** `aws-chunked` is the form of the request, not of the object. */
function contentEncoding(header: string | undefined): string | undefined {
  const codings = (header ?? '').split(',').map((coding) => coding.trim());
  return codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked').join(',') || undefined;
}

function checkMetadata(metadata: Record<string, string>): Record<string, string> {
  let size = 0;
  const lowered: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata)) {
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw invalidArgument('metadata', name, 'Metadata names must be header names');
    if (/[\0\r\n]/.test(value)) throw invalidArgument('metadata', name, 'Metadata values cannot hold line ends');
    lowered[name.toLowerCase()] = value;
  }
  if (size > MAX_METADATA_BYTES) throw s3Error('MetadataTooLarge', undefined, { Size: size, MaxSizeAllowed: MAX_METADATA_BYTES });
  return lowered;
}

/** How answers to writes tell of encryption. */
export function encryptionMembers(attributes: Attributes): Pick<Attributes, 'ServerSideEncryption' | 'SSEKMSKeyId' | 'BucketKeyEnabled'> {
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } = attributes;
  return { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled };
}
