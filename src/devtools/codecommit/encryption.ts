/** UpdateRepositoryEncryptionKey: another KMS key for a repository. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { findRepository, onRepository, type Repository } from './repository.ts';
import { asCodeCommit, isManaged, newRepositoryKey, type RepositoryKey, SERVICE, useOf } from './repository-keys.ts';

export const updateRepositoryEncryptionKey = operation('codecommit', 'UpdateRepositoryEncryptionKey', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, kmsKeyId }) {
    const repository = await findRepository(ctx, repositoryName);
    const changed = await rewrap(ctx, repository, kmsKeyId);
    await ctx.transaction(async (tx) => {
      const { numUpdatedRows } = await tx.sql
        .updateTable('codecommit.repositories')
        .set({ ...changed, updated_at: ctx.now() })
        .where('id', '=', repository.id)
        .where('wrapped_key', 'is not distinct from', repository.wrapped_key)
        .executeTakeFirst();
      // Of two changes at once the later would seal what the earlier has replaced.
      if (numUpdatedRows === 0n) {
        throw new AwsError(
          'EncryptionKeyUnavailableException',
          `The encryption key of ${repositoryName} was changed meanwhile. Try again.`,
        );
      }
    });
    return {
      repositoryId: repository.id,
      kmsKeyId: changed.kms_key_id!,
      ...(repository.kms_key_id !== null && { originalKmsKeyId: repository.kms_key_id }),
    };
  },
});

/** The repository's data key under another KMS key. A repository from before there were keys gets its first. */
async function rewrap(ctx: RequestContext, repository: Repository, kmsKeyId: string): Promise<RepositoryKey> {
  if (repository.wrapped_key === null) return newRepositoryKey(ctx, repository, kmsKeyId);
  const { context, region } = useOf(repository);
  const { kms } = ctx.aws.asPrincipal(ctx.principal, region, SERVICE);
  const sealed = await asCodeCommit(
    kms.reEncrypt({
      CiphertextBlob: Buffer.from(repository.wrapped_key, 'base64'),
      SourceKeyId: repository.kms_key_id!,
      SourceEncryptionContext: context,
      DestinationKeyId: kmsKeyId,
      DestinationEncryptionContext: context,
    }),
  );
  const wrapped = Buffer.from(sealed.CiphertextBlob!).toString('base64');
  return { kms_key_id: sealed.KeyId!, wrapped_key: wrapped, key_managed: isManaged(kmsKeyId) };
}
