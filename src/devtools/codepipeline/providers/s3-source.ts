/** Source, S3: the newest version of an object, or the one that the execution was started with, copied to the artifact store. */
import { AwsError } from '../../../platform/errors.ts';
import type { Provider } from './provider.ts';

export const s3Source: Provider = {
  async advance({ clients, run, configuration, execution, action, encryptionKey }) {
    const Bucket = configuration.S3Bucket!;
    const overrides = execution.source_revisions.filter(({ actionName }) => actionName === action.name);
    const overrideOf = (type: string) => overrides.find(({ revisionType }) => revisionType === type)?.revisionValue;
    const Key = overrideOf('S3_OBJECT_KEY') ?? configuration.S3ObjectKey!;
    const { Status } = await clients.s3.getBucketVersioning({ Bucket });
    if (Status !== 'Enabled')
      throw new AwsError('InvalidBucketState', `Versioning is not enabled on the bucket ${Bucket}: a source bucket must be versioned.`);
    const head = await clients.s3
      .headObject({ Bucket, Key, VersionId: overrideOf('S3_OBJECT_VERSION_ID') })
      .catch((error) => Promise.reject(named(error, Bucket, Key)));
    const VersionId = head.VersionId!;
    const [artifact] = run.output_artifacts;
    await clients.s3.copyObject({
      Bucket: artifact!.bucket,
      Key: artifact!.key,
      CopySource: `${Bucket}/${Key.split('/').map(encodeURIComponent).join('/')}?versionId=${VersionId}`,
      MetadataDirective: 'REPLACE',
      ContentType: head.ContentType,
      Metadata: { ...head.Metadata, 'codepipeline-revision-id': VersionId },
      ...(encryptionKey ? { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: encryptionKey } : {}),
    });
    return {
      state: 'Succeeded',
      externalId: VersionId,
      summary: `Amazon S3 version id: ${VersionId}`,
      revision: { id: VersionId, summary: `Amazon S3 version id: ${VersionId}`, created: head.LastModified?.toISOString() },
      variables: { BucketName: Bucket, ObjectKey: Key, ETag: (head.ETag ?? '').replaceAll('"', ''), VersionId },
    };
  },
};

/** HeadObject's error does not say which object. */
function named(error: unknown, bucket: string, key: string): unknown {
  if (!(error instanceof AwsError) || !/^(NotFound|NoSuchKey)$/.test(error.code)) return error;
  return new AwsError('NoSuchKey', `The object ${key} does not exist in the bucket ${bucket}.`, { cause: error });
}
