/** CodeCommit: private git repositories, by git itself (see the git doors) and by this API. */
import { stopCommitGraphs } from '../../git/commit-graph.ts';
import { gitStore } from '../../git/store.ts';
import { defineService } from '../../platform/service.ts';
import * as approvalAssociations from './approval-associations.ts';
import * as approvalRules from './approval-rules.ts';
import * as approvalStates from './approval-states.ts';
import * as approvalTemplates from './approval-templates.ts';
import { getBlobDifferences } from './blob-differences.ts';
import * as branches from './branches.ts';
import * as commentEditing from './comment-editing.ts';
import * as commentLists from './comment-lists.ts';
import * as commentReactions from './comment-reactions.ts';
import * as comments from './comments.ts';
import { batchGetCommits, getCommit } from './commits.ts';
import { createCommit } from './create-commit.ts';
import { getDifferences } from './differences.ts';
import { updateRepositoryEncryptionKey } from './encryption.ts';
import { listFileCommitHistory } from './file-history.ts';
import { deleteFile, getBlob, getFile, putFile } from './files.ts';
import { getFolder } from './folders.ts';
import { deleteLfsObjects } from './lfs-objects.ts';
import { batchDescribeMergeConflicts, describeMergeConflicts, getMergeConflicts } from './merge-descriptions.ts';
import * as merges from './merges.ts';
import { combinePacks } from './pack-maintenance.ts';
import { prunePacks } from './pack-pruning.ts';
import { deletePacks, MAINTENANCE } from './packs.ts';
import { MERGED_BY_PUSH } from './pull-request-changes.ts';
import * as pullRequestEditing from './pull-request-editing.ts';
import * as pullRequestMerges from './pull-request-merges.ts';
import * as pullRequests from './pull-requests.ts';
import * as repositories from './repositories.ts';
import { sweepCache } from './repositories.ts';
import { listTagsForResource, tagResource, untagResource } from './tags.ts';
import { DELIVER_TRIGGER, deliverTrigger } from './trigger-delivery.ts';
import { getRepositoryTriggers, putRepositoryTriggers, testRepositoryTriggers } from './triggers.ts';
import { uploadArchive } from './upload-archive.ts';

export const codecommit = defineService('codecommit', {
  operations: {
    createRepository: repositories.createRepository,
    getRepository: repositories.getRepository,
    batchGetRepositories: repositories.batchGetRepositories,
    listRepositories: repositories.listRepositories,
    updateRepositoryName: repositories.updateRepositoryName,
    updateRepositoryDescription: repositories.updateRepositoryDescription,
    deleteRepository: repositories.deleteRepository,
    createBranch: branches.createBranch,
    getBranch: branches.getBranch,
    listBranches: branches.listBranches,
    deleteBranch: branches.deleteBranch,
    updateDefaultBranch: branches.updateDefaultBranch,
    createCommit,
    getCommit,
    batchGetCommits,
    getDifferences,
    getBlobDifferences,
    listFileCommitHistory,
    putFile,
    deleteFile,
    getFile,
    getBlob,
    getFolder,
    mergeBranchesByFastForward: merges.mergeBranchesByFastForward,
    mergeBranchesBySquash: merges.mergeBranchesBySquash,
    mergeBranchesByThreeWay: merges.mergeBranchesByThreeWay,
    createUnreferencedMergeCommit: merges.createUnreferencedMergeCommit,
    getMergeOptions: merges.getMergeOptions,
    getMergeCommit: merges.getMergeCommit,
    getMergeConflicts,
    describeMergeConflicts,
    batchDescribeMergeConflicts,
    createPullRequest: pullRequestEditing.createPullRequest,
    getPullRequest: pullRequests.getPullRequest,
    listPullRequests: pullRequests.listPullRequests,
    describePullRequestEvents: pullRequests.describePullRequestEvents,
    updatePullRequestTitle: pullRequestEditing.updatePullRequestTitle,
    updatePullRequestDescription: pullRequestEditing.updatePullRequestDescription,
    updatePullRequestStatus: pullRequestEditing.updatePullRequestStatus,
    mergePullRequestByFastForward: pullRequestMerges.mergePullRequestByFastForward,
    mergePullRequestBySquash: pullRequestMerges.mergePullRequestBySquash,
    mergePullRequestByThreeWay: pullRequestMerges.mergePullRequestByThreeWay,
    createPullRequestApprovalRule: approvalRules.createPullRequestApprovalRule,
    updatePullRequestApprovalRuleContent: approvalRules.updatePullRequestApprovalRuleContent,
    deletePullRequestApprovalRule: approvalRules.deletePullRequestApprovalRule,
    updatePullRequestApprovalState: approvalStates.updatePullRequestApprovalState,
    getPullRequestApprovalStates: approvalStates.getPullRequestApprovalStates,
    overridePullRequestApprovalRules: approvalStates.overridePullRequestApprovalRules,
    getPullRequestOverrideState: approvalStates.getPullRequestOverrideState,
    evaluatePullRequestApprovalRules: approvalStates.evaluatePullRequestApprovalRules,
    createApprovalRuleTemplate: approvalTemplates.createApprovalRuleTemplate,
    getApprovalRuleTemplate: approvalTemplates.getApprovalRuleTemplate,
    listApprovalRuleTemplates: approvalTemplates.listApprovalRuleTemplates,
    updateApprovalRuleTemplateContent: approvalTemplates.updateApprovalRuleTemplateContent,
    updateApprovalRuleTemplateName: approvalTemplates.updateApprovalRuleTemplateName,
    updateApprovalRuleTemplateDescription: approvalTemplates.updateApprovalRuleTemplateDescription,
    deleteApprovalRuleTemplate: approvalTemplates.deleteApprovalRuleTemplate,
    associateApprovalRuleTemplateWithRepository: approvalAssociations.associateApprovalRuleTemplateWithRepository,
    disassociateApprovalRuleTemplateFromRepository: approvalAssociations.disassociateApprovalRuleTemplateFromRepository,
    batchAssociateApprovalRuleTemplateWithRepositories: approvalAssociations.batchAssociateApprovalRuleTemplateWithRepositories,
    batchDisassociateApprovalRuleTemplateFromRepositories: approvalAssociations.batchDisassociateApprovalRuleTemplateFromRepositories,
    listAssociatedApprovalRuleTemplatesForRepository: approvalAssociations.listAssociatedApprovalRuleTemplatesForRepository,
    listRepositoriesForApprovalRuleTemplate: approvalAssociations.listRepositoriesForApprovalRuleTemplate,
    postCommentForPullRequest: comments.postCommentForPullRequest,
    postCommentForComparedCommit: comments.postCommentForComparedCommit,
    postCommentReply: comments.postCommentReply,
    getComment: commentEditing.getComment,
    updateComment: commentEditing.updateComment,
    deleteCommentContent: commentEditing.deleteCommentContent,
    getCommentsForPullRequest: commentLists.getCommentsForPullRequest,
    getCommentsForComparedCommit: commentLists.getCommentsForComparedCommit,
    putCommentReaction: commentReactions.putCommentReaction,
    getCommentReactions: commentReactions.getCommentReactions,
    tagResource,
    untagResource,
    listTagsForResource,
    putRepositoryTriggers,
    getRepositoryTriggers,
    testRepositoryTriggers,
    updateRepositoryEncryptionKey,
    uploadArchive,
  },
  jobs: { [DELIVER_TRIGGER]: deliverTrigger },
  reconcilers: {
    'codecommit.packs': deletePacks,
    'codecommit.lfs': deleteLfsObjects,
    [MAINTENANCE]: combinePacks,
    'codecommit.prune': prunePacks,
    [MERGED_BY_PUSH]: pullRequestMerges.closeMergedByPush,
  },
  schema: new URL('./schema/', import.meta.url),
  validationErrors: 'named',
  async start(platform, signal) {
    const stop = () => {
      stopCommitGraphs();
      gitStore(platform).readers.closeAll();
      gitStore(platform).cache.close();
      gitStore(platform)
        .clones.close()
        .catch(() => {});
    };
    signal.addEventListener('abort', stop, { once: true });
    await sweepCache(platform);
  },
});
