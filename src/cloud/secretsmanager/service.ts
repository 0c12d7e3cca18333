/** AWS Secrets Manager. */
import { defineService } from '../../platform/service.ts';
import { createSecret, updateSecret } from './create-secret.ts';
import { deleteSecret, jobs, restoreSecret } from './delete-secret.ts';
import { describeSecret, listSecrets } from './list-secrets.ts';
import { deleteResourcePolicy, getResourcePolicy, putResourcePolicy, validateResourcePolicy } from './policies.ts';
import { getRandomPassword } from './random-password.ts';
import { batchGetSecretValue, getSecretValue, listSecretVersionIds, putSecretValue, updateSecretVersionStage } from './secret-values.ts';
import { tagResource, untagResource } from './tags.ts';

export const secretsmanager = defineService('secretsmanager', {
  operations: {
    createSecret,
    updateSecret,
    deleteSecret,
    restoreSecret,
    describeSecret,
    listSecrets,
    getSecretValue,
    putSecretValue,
    batchGetSecretValue,
    updateSecretVersionStage,
    listSecretVersionIds,
    putResourcePolicy,
    getResourcePolicy,
    deleteResourcePolicy,
    validateResourcePolicy,
    tagResource,
    untagResource,
    getRandomPassword,
  },
  jobs,
  schema: new URL('./schema/', import.meta.url),
});
