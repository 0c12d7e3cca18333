/** S3: objects as rows over blobs. */
import { defineService } from '../../platform/service.ts';
import * as acls from './acls.ts';
import * as policies from './bucket-policies.ts';
import * as settings from './bucket-settings.ts';
import * as buckets from './buckets.ts';
import { completeMultipartUpload } from './complete-upload.ts';
import { discard, sweep } from './content.ts';
import { copyObject } from './copy-object.ts';
import { deleteObject, deleteObjects } from './delete-objects.ts';
import { getObject, getObjectAttributes, headObject } from './get-object.ts';
import { listObjects, listObjectsV2, listObjectVersions } from './list-objects.ts';
import { getBucketNotificationConfiguration, putBucketNotificationConfiguration } from './notification-configuration.ts';
import { deliverNotice, NOTIFY } from './notify.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './object-tagging.ts';
import { uploadPart, uploadPartCopy } from './parts.ts';
import { putObject } from './put-object.ts';
import { abortMultipartUpload, createMultipartUpload, listMultipartUploads, listParts } from './uploads.ts';

export const s3 = defineService('s3', {
  operations: {
    createBucket: buckets.createBucket,
    deleteBucket: buckets.deleteBucket,
    headBucket: buckets.headBucket,
    listBuckets: buckets.listBuckets,
    getBucketLocation: buckets.getBucketLocation,
    getBucketVersioning: settings.getBucketVersioning,
    putBucketVersioning: settings.putBucketVersioning,
    getBucketEncryption: settings.getBucketEncryption,
    putBucketEncryption: settings.putBucketEncryption,
    deleteBucketEncryption: settings.deleteBucketEncryption,
    getPublicAccessBlock: settings.getPublicAccessBlock,
    putPublicAccessBlock: settings.putPublicAccessBlock,
    deletePublicAccessBlock: settings.deletePublicAccessBlock,
    getBucketTagging: settings.getBucketTagging,
    putBucketTagging: settings.putBucketTagging,
    deleteBucketTagging: settings.deleteBucketTagging,
    getBucketPolicy: policies.getBucketPolicy,
    putBucketPolicy: policies.putBucketPolicy,
    deleteBucketPolicy: policies.deleteBucketPolicy,
    getBucketNotificationConfiguration,
    putBucketNotificationConfiguration,
    getBucketAcl: acls.getBucketAcl,
    getObjectAcl: acls.getObjectAcl,
    putObjectAcl: acls.putObjectAcl,
    putObject,
    getObject,
    headObject,
    getObjectAttributes,
    copyObject,
    deleteObject,
    deleteObjects,
    listObjects,
    listObjectsV2,
    listObjectVersions,
    getObjectTagging,
    putObjectTagging,
    deleteObjectTagging,
    createMultipartUpload,
    uploadPart,
    uploadPartCopy,
    completeMultipartUpload,
    abortMultipartUpload,
    listParts,
    listMultipartUploads,
  },
  jobs: { 's3.discard': discard, [NOTIFY]: deliverNotice },
  reconcilers: { 's3.sweep': sweep },
  schema: new URL('./schema/', import.meta.url),
});
