/** AWS-managed keys: one for each service, made when it is first needed, usable through that service only. */
import { randomUUID } from 'node:crypto';
import type { RequestContext } from '../../platform/service.ts';
import { addMaterial, makeMaterial } from './material.ts';
import { nextRotation } from './rotation-time.ts';

const PREFIX = 'aws/';
const ROTATION_DAYS = 365;

/** What the console shows as their descriptions. */
const DESCRIPTIONS: Record<string, string> = {
  codeartifact: 'Default key that protects my CodeArtifact assets when no other key is defined',
  codebuild: 'Default key that protects my CodeBuild artifacts when no other key is defined',
  codecommit: 'Default key that protects my CodeCommit repositories when no other key is defined',
  logs: 'Default key that protects my CloudWatch Logs data when no other key is defined',
  s3: 'Default key that protects my S3 objects when no other key is defined',
  secretsmanager: 'Default key that protects my Secrets Manager data when no other key is defined',
  sns: 'Default key that protects my SNS data when no other key is defined',
  sqs: 'Default key that protects my SQS messages when no other key is defined',
  ssm: 'Default key that protects my SSM Parameter Store parameters when no other key is defined',
};

/** `name` is an alias's, without `alias/`. */
export function isManagedAlias(name: string): boolean {
  return name.startsWith(PREFIX) && Object.hasOwn(DESCRIPTIONS, name.slice(PREFIX.length));
}

/** The aliases of all services that may have a key, also of those that do not have it yet. */
export const MANAGED_ALIASES: string[] = Object.keys(DESCRIPTIONS).map((service) => PREFIX + service);

/** The id of the key behind `aws/<service>`; of several calls at once one makes it. */
export async function ensureManagedKey(ctx: RequestContext, alias: string): Promise<string> {
  const { account, region } = ctx;
  const service = alias.slice(PREFIX.length);
  const plain = await makeMaterial('SYMMETRIC_DEFAULT');
  return ctx.transaction(async (tx) => {
    const now = ctx.now();
    const id = randomUUID();
    const made = await tx.sql
      .insertInto('kms.keys')
      .values({
        account,
        region,
        id,
        spec: 'SYMMETRIC_DEFAULT',
        usage: 'ENCRYPT_DECRYPT',
        state: 'Enabled',
        description: DESCRIPTIONS[service]!,
        service,
        policy: managedPolicy(account, region, service),
        tags: '{}',
        created_at: now,
        deletion_at: null,
        deletion_days: null,
        rotation_days: ROTATION_DAYS,
        next_rotation_at: nextRotation(now, ROTATION_DAYS),
        generation: 1,
      })
      .onConflict((conflict) => conflict.columns(['account', 'region', 'service']).doNothing())
      .returning('id')
      .executeTakeFirst();
    if (!made) {
      const { id: other } = await tx.sql
        .selectFrom('kms.keys')
        .select('id')
        .where('account', '=', account)
        .where('region', '=', region)
        .where('service', '=', service)
        .executeTakeFirstOrThrow();
      return other;
    }
    await addMaterial(tx, ctx.keyring, { keyId: id, generation: 1, plain });
    await tx.sql.insertInto('kms.aliases').values({ account, region, name: alias, key_id: id, created_at: now, updated_at: now }).execute();
    return id;
  });
}

/** Everybody of the account may use the key, but only by way of the service; nobody may change it. */
function managedPolicy(account: string, region: string, service: string): string {
  const through = { StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `${service}.${region}.amazonaws.com` } };
  const use = ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:CreateGrant', 'kms:DescribeKey'];
  return JSON.stringify(
    {
      Version: '2012-10-17',
      Id: `auto-${service}-1`,
      Statement: [
        {
          Sid: `Allow access through ${service} for all principals in the account that are authorized to use ${service}`,
          Effect: 'Allow',
          Principal: { AWS: '*' },
          Action: use,
          Resource: '*',
          Condition: through,
        },
        {
          Sid: 'Allow the service to go on with work of its own',
          Effect: 'Allow',
          Principal: { Service: `${service}.amazonaws.com` },
          Action: use,
          Resource: '*',
        },
        {
          Sid: 'Allow direct access to key metadata to the account',
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${account}:root` },
          Action: ['kms:Describe*', 'kms:Get*', 'kms:List*', 'kms:RevokeGrant'],
          Resource: '*',
        },
      ],
    },
    null,
    2,
  );
}
