/** The files of one commit as a zip in S3: how CodePipeline's source action gets them. AWS has this action in IAM but not in its public API. */
import { PassThrough } from 'node:stream';
import { exitOf, spawnGit } from '../../git/program.ts';
import { operation } from '../../platform/service.ts';
import { findRepository, onRepository, openRepository, openView } from './repository.ts';
import { readCommit } from './specifiers.ts';

export const uploadArchive = operation('codecommit', 'UploadArchive', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitId, bucket, key, kmsKeyId }) {
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    if (!(await readCommit(open, commitId))) throw ctx.error('CommitDoesNotExistException', `Could not find commit ${commitId}`);
    const place = await openView(ctx, repository);
    const git = spawnGit(['archive', '--format=zip', '-1', commitId], { place });
    git.stdin!.end();
    let complaint = '';
    git.stderr!.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk).slice(-2000);
    });
    // Ends only when git has said that all went well: half an archive must not become an object.
    const body = new PassThrough();
    git.stdout!.pipe(body, { end: false });
    // When nobody reads on (S3 refused it), git would wait for ever.
    body.once('close', () => git.kill());
    exitOf(git).then(
      ({ code }) => (code === 0 ? body.end() : body.destroy(new Error(`git archive ended with ${code}: ${complaint.trim()}`))),
      (error) => body.destroy(error),
    );
    const { s3 } = ctx.aws.asPrincipal(ctx.principal, ctx.region);
    const stored = await s3.putObject({
      Bucket: bucket,
      Key: key,
      Body: body,
      ContentType: 'application/zip',
      Metadata: { 'codepipeline-revision-id': commitId },
      ...(kmsKeyId ? { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId } : {}),
    });
    return { eTag: stored.ETag, versionId: stored.VersionId };
  },
});
