/** Tags of secrets. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { changeSecret, checkTags, secretCheck, tagsOf } from './secret.ts';

type Tags = Record<string, string>;

export const tagResource = operation('secretsmanager', 'TagResource', {
  authorize: ({ SecretId, Tags }, ctx) => secretCheck(ctx, SecretId, { requestTags: tagsOf(Tags) }),
  async handle(ctx, { SecretId, Tags }) {
    await setTags(ctx, SecretId, (tags) => checkTags({ ...tags, ...tagsOf(Tags) }));
    return {};
  },
});

export const untagResource = operation('secretsmanager', 'UntagResource', {
  authorize: ({ SecretId, TagKeys }, ctx) => secretCheck(ctx, SecretId, { conditions: { 'aws:TagKeys': TagKeys } }),
  async handle(ctx, { SecretId, TagKeys }) {
    await setTags(ctx, SecretId, (tags) => Object.fromEntries(Object.entries(tags).filter(([key]) => !TagKeys.includes(key))));
    return {};
  },
});

async function setTags(ctx: RequestContext, id: string, change: (tags: Tags) => Tags): Promise<void> {
  await changeSecret(ctx, id, async (tx, secret) => {
    await tx.sql
      .updateTable('secretsmanager.secrets')
      .set({ tags: JSON.stringify(change(secret.tags)) })
      .where('id', '=', secret.id)
      .execute();
  });
}
