/** Source, CodeCommit: the branch's newest commit, or the one that the execution was started with, as a zip. */
import type { Provider } from './provider.ts';

export const codecommitSource: Provider = {
  async advance({ clients, run, configuration, execution, action, encryptionKey }) {
    const repositoryName = configuration.RepositoryName!;
    const branchName = configuration.BranchName!;
    const override = execution.source_revisions.find(({ actionName }) => actionName === action.name);
    const commitId = override?.revisionValue ?? (await clients.codecommit.getBranch({ repositoryName, branchName })).branch!.commitId!;
    const { commit } = await clients.codecommit.getCommit({ repositoryName, commitId });
    const [artifact] = run.output_artifacts;
    await clients.codecommit.uploadArchive({
      repositoryName,
      commitId,
      bucket: artifact!.bucket,
      key: artifact!.key,
      kmsKeyId: encryptionKey,
    });
    const message = commit!.message ?? '';
    return {
      state: 'Succeeded',
      externalId: commitId,
      summary: message,
      revision: { id: commitId, summary: message.slice(0, 2048), created: isoDate(commit!.committer?.date) },
      variables: {
        CommitId: commitId,
        CommitMessage: message,
        RepositoryName: repositoryName,
        BranchName: branchName,
        AuthorDate: isoDate(commit!.author?.date) ?? '',
        CommitterDate: isoDate(commit!.committer?.date) ?? '',
      },
    };
  },
};

/** From git's `1484167798 -0800`. */
function isoDate(raw: string | undefined): string | undefined {
  const seconds = Number(raw?.split(' ')[0]);
  return Number.isFinite(seconds) && raw ? new Date(seconds * 1000).toISOString().replace(/\.000Z$/, 'Z') : undefined;
}
