/** Every error that the model names for approvals, templates and comments. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CodeCommit } from '@aws-sdk/client-codecommit';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { type Provoked, provokeAll, readModel } from '../support/provoke.ts';
import { refused } from '../support/refused.ts';
import { approvers, type OpenPullRequest, Reviews } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

const model = readModel('codecommit');
const notByCallers = 'keys of customers are the subject of the tests of encryption';
const excused: Record<string, string> = {
  EncryptionIntegrityChecksFailed: notByCallers,
  EncryptionKeyAccessDenied: notByCallers,
  EncryptionKeyDisabled: notByCallers,
  EncryptionKeyNotFound: notByCallers,
  EncryptionKeyUnavailable: notByCallers,
  ReactionLimitExceeded: 'a new reaction of a user takes the place of the one before',
};

let postgres: TestPostgres;
let database: pg.Client;
let server: TestServer;
let reviews: Reviews;
let open: OpenPullRequest;
let closed: OpenPullRequest;
let outdated: string;
let commits: { base: string; source: string };
/** A commit with a file in `folder`. */
let withFolder: string;
let commentId: string;
let deletedId: string;
let foreignId: string;

before(async () => {
  postgres = await startPostgres();
  server = await startServer({ env: { PENSTOCK_DATABASE_URL: postgres.url } });
  database = new pg.Client(postgres.url);
  await database.connect();
  reviews = await Reviews.open(server);
  const { codecommit } = reviews;
  const mary = await reviews.user('Mary');
  commits = await reviews.repository('errors');
  await reviews.repository('other');
  for (const approvalRuleTemplateName of ['template', 'used', 'free']) {
    await codecommit.createApprovalRuleTemplate({ approvalRuleTemplateName, approvalRuleTemplateContent: approvers(1) });
  }
  await codecommit.associateApprovalRuleTemplateWithRepository({ approvalRuleTemplateName: 'used', repositoryName: 'errors' });
  const first = await mary.codecommit.createPullRequest({ title: 'T', targets: [{ repositoryName: 'errors', sourceReference: 'topic' }] });
  outdated = first.pullRequest!.revisionId!;
  const source = await reviews.commit('errors', 'topic', commits.source, 'b', 'pushed\n');
  commits = { ...commits, source };
  open = await reviews.get(first.pullRequest!.pullRequestId!);
  const rule = { pullRequestId: open.pullRequestId, approvalRuleName: 'rule', approvalRuleContent: approvers(1) };
  await codecommit.createPullRequestApprovalRule(rule);
  closed = await reviews.open('errors');
  await codecommit.updatePullRequestStatus({ pullRequestId: closed.pullRequestId, pullRequestStatus: 'CLOSED' });
  withFolder = await reviews.commit('errors', 'main', commits.base, 'folder/file', 'x');
  const compared = { repositoryName: 'errors', beforeCommitId: commits.base, afterCommitId: source };
  const post = async (by: CodeCommit, content: string, clientRequestToken?: string) => {
    const { comment } = await by.postCommentForComparedCommit({ ...compared, content, clientRequestToken });
    return comment!.commentId!;
  };
  commentId = await post(codecommit, 'Mine', 'used');
  deletedId = await post(codecommit, 'Gone');
  await codecommit.deleteCommentContent({ commentId: deletedId });
  foreignId = await post(mary.codecommit, 'Hers');
});
after(async () => {
  await database?.end();
  await server?.stop();
  await postgres?.[Symbol.asyncDispose]();
});

const longName = 'x'.repeat(101);
const badRule = '{"Version":"2018-11-08","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":0}]}';
const ofRepository = {
  RepositoryNameRequired: { repositoryName: undefined },
  InvalidRepositoryName: { repositoryName: 'no good' },
  RepositoryDoesNotExist: { repositoryName: 'none' },
};
const ofPullRequest = {
  PullRequestIdRequired: { pullRequestId: undefined },
  InvalidPullRequestId: { pullRequestId: 'first' },
  PullRequestDoesNotExist: { pullRequestId: '999999' },
};
const ofOpen = { ...ofPullRequest, PullRequestAlreadyClosed: async () => ({ pullRequestId: closed.pullRequestId }) };
const ofRevision = { RevisionIdRequired: { revisionId: undefined }, InvalidRevisionId: { revisionId: 'x' } };
const ofCurrent = { ...ofRevision, RevisionNotCurrent: async () => ({ revisionId: outdated }) };
const ofRuleName = { ApprovalRuleNameRequired: { approvalRuleName: undefined }, InvalidApprovalRuleName: { approvalRuleName: 'a/b' } };
const ofTemplate = {
  ApprovalRuleTemplateNameRequired: { approvalRuleTemplateName: undefined },
  InvalidApprovalRuleTemplateName: { approvalRuleTemplateName: 'x.git' },
};
const ofExistingTemplate = { ...ofTemplate, ApprovalRuleTemplateDoesNotExist: { approvalRuleTemplateName: 'none' } };
const ofNames = {
  RepositoryNamesRequired: { repositoryNames: undefined },
  MaximumRepositoryNamesExceeded: { repositoryNames: Array.from({ length: 101 }, (_, index) => `r${index}`) },
};
const ofPages = { InvalidMaxResults: { maxResults: 0 }, InvalidContinuationToken: { nextToken: 'x' } };
const ofComment = {
  CommentIdRequired: { commentId: undefined },
  InvalidCommentId: { commentId: 'x' },
  CommentDoesNotExist: async () => ({ commentId: commentId.replace(/:.*/, ':00000000-0000-0000-0000-000000000000') }),
};
const ofUndeleted = { ...ofComment, CommentDeleted: async () => ({ commentId: deletedId }) };
const ofContent = {
  CommentContentRequired: { content: ' ' },
  CommentContentSizeLimitExceeded: { content: 'x'.repeat(10_241) },
};
const ofToken = {
  ClientRequestTokenRequired: { clientRequestToken: '' },
  InvalidClientRequestToken: { clientRequestToken: 'x'.repeat(257) },
  IdempotencyParameterMismatch: { clientRequestToken: 'used', content: 'Another' },
};
const ofLocation = {
  PathRequired: { location: { filePosition: 1, relativeFileVersion: 'AFTER' } },
  InvalidPath: { location: { filePath: 'a/../b' } },
  PathDoesNotExist: { location: { filePath: 'none' } },
  InvalidFileLocation: async () => ({ location: { filePath: 'folder' }, afterCommitId: withFolder }),
  InvalidRelativeFileVersionEnum: { location: { filePath: 'b', filePosition: 1, relativeFileVersion: 'BEFORE' } },
  InvalidFilePosition: { location: { filePath: 'b', filePosition: 2, relativeFileVersion: 'AFTER' } },
};
const ofCompared = {
  CommitIdRequired: { afterCommitId: undefined },
  InvalidCommitId: { afterCommitId: 'main' },
  CommitDoesNotExist: { afterCommitId: 'f'.repeat(40) },
};
const ofPostedCompared = {
  ...ofCompared,
  BeforeCommitIdAndAfterCommitIdAreSame: async () => ({ beforeCommitId: commits.source }),
};

/** More rows than anybody would make by the API in a test. */
const fill = async (statement: string) => void (await database.query(statement));

function provocations(): Record<string, Provoked> {
  const { pullRequestId, revisionId } = open;
  const repositoryName = 'errors';
  const compared = { repositoryName, beforeCommitId: commits.base, afterCommitId: commits.source };
  const templateName = { approvalRuleTemplateName: 'template' };
  return {
    CreatePullRequestApprovalRule: {
      input: { pullRequestId, approvalRuleName: 'new', approvalRuleContent: approvers(1) },
      errors: {
        ...ofOpen,
        ...ofRuleName,
        ApprovalRuleNameAlreadyExists: { approvalRuleName: 'rule' },
        ApprovalRuleContentRequired: { approvalRuleContent: undefined },
        InvalidApprovalRuleContent: { approvalRuleContent: badRule },
        NumberOfRulesExceeded: async () => {
          await fill(`insert into codecommit.approval_rules
            select gen_random_uuid(), account, region, id, 'rule ' || n, '${approvers(1)}', null, null, now(), now(), author
            from codecommit.pull_requests, generate_series(1, 28) n where id = ${pullRequestId}`);
          return {};
        },
      },
    },
    UpdatePullRequestApprovalRuleContent: {
      input: { pullRequestId, approvalRuleName: 'rule', newRuleContent: approvers(2) },
      errors: {
        ...ofOpen,
        ...ofRuleName,
        ApprovalRuleDoesNotExist: { approvalRuleName: 'none' },
        ApprovalRuleContentRequired: { newRuleContent: undefined },
        InvalidApprovalRuleContent: { newRuleContent: badRule },
        InvalidRuleContentSha256: { existingRuleContentSha256: 'x' },
        CannotModifyApprovalRuleFromTemplate: { approvalRuleName: 'used' },
      },
    },
    DeletePullRequestApprovalRule: {
      input: { pullRequestId, approvalRuleName: 'rule' },
      errors: { ...ofOpen, ...ofRuleName, CannotDeleteApprovalRuleFromTemplate: { approvalRuleName: 'used' } },
    },
    EvaluatePullRequestApprovalRules: { input: { pullRequestId, revisionId }, errors: { ...ofPullRequest, ...ofCurrent } },
    GetPullRequestApprovalStates: { input: { pullRequestId, revisionId }, errors: { ...ofPullRequest, ...ofRevision } },
    GetPullRequestOverrideState: { input: { pullRequestId, revisionId }, errors: { ...ofPullRequest, ...ofRevision } },
    UpdatePullRequestApprovalState: {
      input: { pullRequestId, revisionId, approvalState: 'APPROVE' },
      errors: {
        ...ofOpen,
        ...ofCurrent,
        ApprovalStateRequired: { approvalState: undefined },
        InvalidApprovalState: { approvalState: 'MAYBE' },
        PullRequestCannotBeApprovedByAuthor: async () => {
          const own = await reviews.open('errors');
          return { pullRequestId: own.pullRequestId, revisionId: own.revisionId };
        },
        MaximumNumberOfApprovalsExceeded: async () => {
          await fill(`insert into codecommit.approvals
            select account, region, id, revision_id, 'arn:aws:iam::123456789012:user/u' || n, now()
            from codecommit.pull_requests, generate_series(1, 200) n where id = ${pullRequestId}`);
          return {};
        },
      },
    },
    OverridePullRequestApprovalRules: {
      input: { pullRequestId, revisionId, overrideStatus: 'OVERRIDE' },
      errors: {
        ...ofOpen,
        ...ofCurrent,
        OverrideStatusRequired: { overrideStatus: undefined },
        InvalidOverrideStatus: { overrideStatus: 'MAYBE' },
        OverrideAlreadySet: async () => {
          await reviews.codecommit.overridePullRequestApprovalRules({ pullRequestId, revisionId, overrideStatus: 'OVERRIDE' });
          return {};
        },
      },
    },
    CreateApprovalRuleTemplate: {
      input: { approvalRuleTemplateName: 'new', approvalRuleTemplateContent: approvers(1) },
      errors: {
        ...ofTemplate,
        ApprovalRuleTemplateNameAlreadyExists: { approvalRuleTemplateName: 'template' },
        ApprovalRuleTemplateContentRequired: { approvalRuleTemplateContent: undefined },
        InvalidApprovalRuleTemplateContent: { approvalRuleTemplateContent: badRule },
        InvalidApprovalRuleTemplateDescription: { approvalRuleTemplateDescription: 'x'.repeat(1001) },
        NumberOfRuleTemplatesExceeded: async () => {
          await fill(`insert into codecommit.approval_rule_templates
            select gen_random_uuid(), account, region, 'filled ' || n, null, '{}', now(), now(), 'x'
            from codecommit.approval_rule_templates, generate_series(1, 997) n where name = 'template'`);
          return {};
        },
      },
    },
    GetApprovalRuleTemplate: { input: templateName, errors: ofExistingTemplate },
    ListApprovalRuleTemplates: { input: {}, errors: ofPages },
    UpdateApprovalRuleTemplateContent: {
      input: { ...templateName, newRuleContent: approvers(2) },
      errors: {
        ...ofExistingTemplate,
        ApprovalRuleTemplateContentRequired: { newRuleContent: undefined },
        InvalidApprovalRuleTemplateContent: { newRuleContent: badRule },
        InvalidRuleContentSha256: { existingRuleContentSha256: 'x' },
      },
    },
    UpdateApprovalRuleTemplateDescription: {
      input: { ...templateName, approvalRuleTemplateDescription: 'D' },
      errors: { ...ofExistingTemplate, InvalidApprovalRuleTemplateDescription: { approvalRuleTemplateDescription: 'a\u0000b' } },
    },
    UpdateApprovalRuleTemplateName: {
      input: { oldApprovalRuleTemplateName: 'template', newApprovalRuleTemplateName: 'new' },
      errors: {
        ApprovalRuleTemplateNameRequired: { newApprovalRuleTemplateName: undefined },
        InvalidApprovalRuleTemplateName: { newApprovalRuleTemplateName: longName },
        ApprovalRuleTemplateDoesNotExist: { oldApprovalRuleTemplateName: 'none' },
        ApprovalRuleTemplateNameAlreadyExists: { newApprovalRuleTemplateName: 'used' },
      },
    },
    DeleteApprovalRuleTemplate: {
      input: templateName,
      errors: { ...ofTemplate, ApprovalRuleTemplateInUse: { approvalRuleTemplateName: 'used' } },
    },
    AssociateApprovalRuleTemplateWithRepository: {
      input: { ...templateName, repositoryName },
      errors: {
        ...ofExistingTemplate,
        ...ofRepository,
        MaximumRuleTemplatesAssociatedWithRepository: async () => {
          await fill(`with made as (insert into codecommit.approval_rule_templates
              select gen_random_uuid(), account, region, 'associated ' || n, null, '{}', now(), now(), 'x'
              from codecommit.approval_rule_templates, generate_series(1, 25) n where name = 'template' returning id)
            insert into codecommit.approval_rule_associations
              select made.id, repository.id from made, codecommit.repositories repository where repository.name = 'other'`);
          return { repositoryName: 'other' };
        },
      },
    },
    DisassociateApprovalRuleTemplateFromRepository: {
      input: { ...templateName, repositoryName },
      errors: { ...ofExistingTemplate, ...ofRepository },
    },
    BatchAssociateApprovalRuleTemplateWithRepositories: {
      input: { ...templateName, repositoryNames: [repositoryName] },
      errors: { ...ofExistingTemplate, ...ofNames },
    },
    BatchDisassociateApprovalRuleTemplateFromRepositories: {
      input: { ...templateName, repositoryNames: [repositoryName] },
      errors: { ...ofExistingTemplate, ...ofNames },
    },
    ListAssociatedApprovalRuleTemplatesForRepository: { input: { repositoryName }, errors: { ...ofRepository, ...ofPages } },
    ListRepositoriesForApprovalRuleTemplate: { input: templateName, errors: { ...ofExistingTemplate, ...ofPages } },
    PostCommentForPullRequest: {
      input: { ...compared, pullRequestId, content: 'C' },
      errors: {
        ...ofRepository,
        ...ofPullRequest,
        ...ofPostedCompared,
        ...ofLocation,
        ...ofContent,
        ...ofToken,
        RepositoryNotAssociatedWithPullRequest: { repositoryName: 'other' },
      },
    },
    PostCommentForComparedCommit: {
      input: { ...compared, content: 'C' },
      errors: { ...ofRepository, ...ofPostedCompared, ...ofLocation, ...ofContent, ...ofToken },
    },
    PostCommentReply: {
      input: { inReplyTo: commentId, content: 'C' },
      errors: {
        ...ofContent,
        ...ofToken,
        CommentIdRequired: { inReplyTo: undefined },
        InvalidCommentId: { inReplyTo: 'x' },
        CommentDoesNotExist: async () => ({ inReplyTo: (await ofComment.CommentDoesNotExist()).commentId }),
      },
    },
    GetComment: { input: { commentId }, errors: ofUndeleted },
    UpdateComment: {
      input: { commentId, content: 'C' },
      errors: { ...ofUndeleted, ...ofContent, CommentNotCreatedByCaller: { commentId: foreignId } },
    },
    DeleteCommentContent: { input: { commentId }, errors: ofUndeleted },
    GetCommentsForPullRequest: {
      input: { ...compared, pullRequestId },
      errors: {
        ...ofRepository,
        ...ofPullRequest,
        ...ofCompared,
        ...ofPages,
        RepositoryNotAssociatedWithPullRequest: { repositoryName: 'other' },
      },
    },
    GetCommentsForComparedCommit: { input: compared, errors: { ...ofRepository, ...ofCompared, ...ofPages } },
    PutCommentReaction: {
      input: { commentId, reactionValue: ':heart:' },
      errors: { ...ofUndeleted, ReactionValueRequired: { reactionValue: undefined }, InvalidReactionValue: { reactionValue: '🦄' } },
    },
    GetCommentReactions: {
      input: { commentId },
      errors: { ...ofUndeleted, ...ofPages, InvalidReactionUserArn: { reactionUserArn: 'Mary' } },
    },
  };
}

const operations = Object.keys(model.operations).filter((name) => /Approval|Comment|Override/.test(name));

describe('each operation refuses with each of its errors', () => {
  for (const operation of operations) {
    test(operation, () => provokeAll(reviews.codecommit, model, operation, provocations()[operation]!, excused));
  }
});

test('hostile texts are refused, or kept as they are', async () => {
  const { codecommit } = reviews;
  const compared = { repositoryName: 'errors', beforeCommitId: commits.base, afterCommitId: commits.source };
  await refused(codecommit.postCommentForComparedCommit({ ...compared, content: 'a\u0000b' }), 'CommentContentRequiredException');
  const token = { clientRequestToken: 'a\u0000b' };
  await refused(codecommit.postCommentForComparedCommit({ ...compared, ...token, content: 'a' }), 'InvalidClientRequestTokenException');
  const location = (filePath: string, filePosition = 1) => ({ filePath, filePosition, relativeFileVersion: 'AFTER' as const });
  const post = (at: ReturnType<typeof location>) => codecommit.postCommentForComparedCommit({ ...compared, content: 'a', location: at });
  for (const filePath of ['.git/config', '../b', 'a\u0000b', 'x'.repeat(5000)])
    await refused(post(location(filePath)), 'InvalidPathException');
  for (const position of [0, -1, 2 ** 40]) await refused(post(location('b', position)), 'InvalidFilePositionException');
  const text = `<script>alert(1)</script> '; drop table codecommit.comments; -- 𝕌 \u202e`;
  const { comment } = await codecommit.postCommentForComparedCommit({ ...compared, content: text });
  assert.equal((await codecommit.getComment({ commentId: comment?.commentId })).comment?.content, text);
  const { pullRequestId } = open;
  const rule = (approvalRuleContent: string) =>
    codecommit.createPullRequestApprovalRule({ pullRequestId, approvalRuleName: 'hostile', approvalRuleContent });
  for (const content of ['[[[[', '{"__proto__":{"Version":"2018-11-08"}}', '"'.repeat(3000), `${'['.repeat(1500)}${']'.repeat(1500)}`]) {
    await refused(rule(content), 'InvalidApprovalRuleContentException');
  }
  const targets = [{ repositoryName: 'errors', sourceReference: 'topic' }];
  await refused(codecommit.createPullRequest({ title: 'a\u0000b', targets }), 'InvalidTitleException');
  await refused(codecommit.createPullRequest({ title: 'a', description: 'a\u0000b', targets }), 'InvalidDescriptionException');
  const template = { approvalRuleTemplateName: 'nul', approvalRuleTemplateContent: approvers(1) };
  const described = codecommit.createApprovalRuleTemplate({ ...template, approvalRuleTemplateDescription: 'a\u0000b' });
  await refused(described, 'InvalidApprovalRuleTemplateDescriptionException');
});
