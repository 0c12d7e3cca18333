import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { IAM } from '@aws-sdk/client-iam';
import { refused } from '../support/refused.ts';
import { type Reviewer, Reviews, type ToldEvent } from '../support/reviews.ts';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let reviews: Reviews;
let mary: Reviewer;
let li: Reviewer;

before(async () => {
  server = await startServer();
  reviews = await Reviews.open(server);
  mary = await reviews.user('Mary');
  li = await reviews.user('Li');
});
after(() => server.stop());

/** What the event says beside its prose. */
function brief({ detail: { notificationBody, ...detail } }: ToldEvent) {
  assert.match(notificationBody, /^A comment (reaction )?event occurred in the following AWS CodeCommit [rR]epository: /);
  return detail;
}

test('a thread on a line of a pull request: posted, answered, edited, emptied', async () => {
  const { base, source } = await reviews.repository('thread');
  const { pullRequestId } = await reviews.open('thread');
  const compared = { repositoryName: 'thread', beforeCommitId: base, afterCommitId: source };
  const location = { filePath: 'b', filePosition: 2, relativeFileVersion: 'AFTER' } as const;
  const on = { pullRequestId, ...compared };
  const posted = await mary.codecommit.postCommentForPullRequest({ ...on, location, content: 'Why two?', clientRequestToken: 'first' });
  const { files } = await mary.codecommit.getFolder({ repositoryName: 'thread', commitSpecifier: source, folderPath: '/' });
  const blob = files?.find(({ relativePath }) => relativePath === 'b')?.blobId;
  const { commentId, creationDate } = posted.comment!;
  const { $metadata, ...shown } = posted;
  assert.match(commentId!, /^[0-9a-f-]{36}:[0-9a-f-]{36}$/);
  assert.deepEqual(shown, {
    pullRequestId,
    ...compared,
    afterBlobId: blob,
    location,
    comment: {
      commentId,
      content: 'Why two?',
      creationDate,
      lastModifiedDate: creationDate,
      authorArn: mary.arn,
      deleted: false,
      clientRequestToken: 'first',
      callerReactions: [],
      reactionCounts: {},
    },
  });
  const general = await li.codecommit.postCommentForPullRequest({ ...on, content: 'All fine else' });
  assert.equal(general.location, undefined);
  const { comment: reply } = await li.codecommit.postCommentReply({ inReplyTo: commentId, content: 'Because' });
  assert.deepEqual([reply?.inReplyTo, reply?.authorArn], [commentId, li.arn]);
  const sameLine = await li.codecommit.postCommentForPullRequest({ ...on, location, content: 'Another on this line' });

  const { commentsForPullRequestData } = await mary.codecommit.getCommentsForPullRequest({ pullRequestId });
  assert.deepEqual(
    commentsForPullRequestData?.map(({ comments, ...place }) => [place, comments?.map(({ commentId: id }) => id)]),
    [
      [{ pullRequestId, ...compared, afterBlobId: blob, location }, [commentId, reply?.commentId, sameLine.comment?.commentId]],
      [{ pullRequestId, ...compared }, [general.comment?.commentId]],
    ],
  );
  const byCommits = await mary.codecommit.getCommentsForPullRequest({ pullRequestId, ...compared });
  assert.equal(byCommits.commentsForPullRequestData?.length, 2);
  const none = await mary.codecommit.getCommentsForPullRequest({ pullRequestId, ...compared, beforeCommitId: source, afterCommitId: base });
  assert.deepEqual(none.commentsForPullRequestData, []);
  const onCommits = await mary.codecommit.getCommentsForComparedCommit(compared);
  assert.deepEqual(onCommits.commentsForComparedCommitData, []);

  const { comment: edited } = await mary.codecommit.updateComment({ commentId, content: 'Why 2?' });
  assert.equal(edited?.content, 'Why 2?');
  assert.ok(edited!.lastModifiedDate! > creationDate!);
  await refused(li.codecommit.updateComment({ commentId, content: 'Mine' }), 'CommentNotCreatedByCallerException');
  const { comment: emptied } = await li.codecommit.deleteCommentContent({ commentId });
  assert.deepEqual([emptied?.deleted, emptied?.content, emptied?.authorArn], [true, undefined, mary.arn]);
  for (const call of [
    () => mary.codecommit.getComment({ commentId }),
    () => mary.codecommit.updateComment({ commentId, content: 'Again' }),
    () => mary.codecommit.deleteCommentContent({ commentId }),
    () => mary.codecommit.putCommentReaction({ commentId, reactionValue: ':heart:' }),
    () => mary.codecommit.getCommentReactions({ commentId }),
  ]) {
    await refused(call(), 'CommentDeletedException');
  }
  const afterwards = await mary.codecommit.getCommentsForPullRequest({ pullRequestId });
  const [first, second] = afterwards.commentsForPullRequestData![0]!.comments!;
  assert.deepEqual([first?.deleted, first?.content, second?.content], [true, undefined, 'Because']);
  // What was said stays open for answers, also once the pull request is closed.
  await mary.codecommit.updatePullRequestStatus({ pullRequestId, pullRequestStatus: 'CLOSED' });
  await mary.codecommit.postCommentReply({ inReplyTo: commentId, content: 'Too late' });

  const told = await reviews.told(({ detail }) => detail.pullRequestId === pullRequestId && /^comment/.test(detail.event), 6);
  assert.deepEqual(told.map(({ detail }) => detail.event).sort(), [
    ...Array(5).fill('commentOnPullRequestCreated'),
    'commentOnPullRequestUpdated',
  ]);
  const answered = told.find(({ detail }) => detail.commentId === reply?.commentId)!;
  assert.equal(answered['detail-type'], 'CodeCommit Comment on Pull Request');
  assert.deepEqual(answered.resources, [`arn:aws:codecommit:${server.region}:${server.account}:thread`]);
  const { repositoryMetadata } = await mary.codecommit.getRepository({ repositoryName: 'thread' });
  assert.deepEqual(brief(answered), {
    afterCommitId: source,
    beforeCommitId: base,
    callerUserArn: li.arn,
    commentId: reply?.commentId,
    event: 'commentOnPullRequestCreated',
    inReplyTo: commentId,
    pullRequestId,
    repositoryId: repositoryMetadata?.repositoryId,
    repositoryName: 'thread',
  });
});

test('comments on a comparison of commits, also on the first commit', async () => {
  const { base, source } = await reviews.repository('compared');
  const compared = { repositoryName: 'compared', beforeCommitId: base, afterCommitId: source };
  const posted = await mary.codecommit.postCommentForComparedCommit({ ...compared, location: { filePath: '/b' }, content: 'Nice file' });
  assert.deepEqual(posted.location, { filePath: 'b' });
  const first = { repositoryName: 'compared', afterCommitId: base };
  const location = { filePath: 'a', filePosition: 1, relativeFileVersion: 'AFTER' } as const;
  const onFirst = await mary.codecommit.postCommentForComparedCommit({ ...first, location, content: 'The beginning' });
  assert.deepEqual([onFirst.beforeCommitId, onFirst.beforeBlobId], [undefined, undefined]);
  const gone = { repositoryName: 'compared', beforeCommitId: source, afterCommitId: base };
  const before = { filePath: 'b', filePosition: 1, relativeFileVersion: 'BEFORE' } as const;
  const removed = await mary.codecommit.postCommentForComparedCommit({ ...gone, location: before, content: 'Was here' });
  assert.deepEqual([removed.beforeBlobId, removed.afterBlobId], [posted.afterBlobId, undefined]);

  const list = async (of: { repositoryName: string; beforeCommitId?: string; afterCommitId: string }) => {
    const { commentsForComparedCommitData } = await li.codecommit.getCommentsForComparedCommit(of);
    return commentsForComparedCommitData!.flatMap(({ comments }) => comments!.map(({ content }) => content));
  };
  assert.deepEqual([await list(compared), await list(first), await list(gone)], [['Nice file'], ['The beginning'], ['Was here']]);
  await mary.codecommit.updateComment({ commentId: onFirst.comment?.commentId, content: 'In the beginning' });
  const told = await reviews.told(({ detail }) => detail.commentId === onFirst.comment?.commentId, 2);
  const updated = told.find(({ detail }) => detail.event === 'commentOnCommitUpdated')!;
  const { repositoryId, ...detail } = brief(updated);
  assert.equal(updated['detail-type'], 'CodeCommit Comment on Commit');
  assert.deepEqual(detail, {
    afterCommitId: base,
    callerUserArn: mary.arn,
    commentId: onFirst.comment?.commentId,
    event: 'commentOnCommitUpdated',
    repositoryName: 'compared',
  });
  assert.ok(repositoryId);
});

test('one token is one comment, also when it is sent many times at once', async () => {
  const { base, source } = await reviews.repository('again');
  const compared = { repositoryName: 'again', beforeCommitId: base, afterCommitId: source };
  const request = { ...compared, content: 'Once', clientRequestToken: 'again' };
  const posted = await Promise.all([1, 2, 3, 4].map(() => mary.codecommit.postCommentForComparedCommit(request)));
  assert.equal(new Set(posted.map(({ comment }) => comment?.commentId)).size, 1);
  const { commentsForComparedCommitData } = await mary.codecommit.getCommentsForComparedCommit(compared);
  assert.equal(commentsForComparedCommitData?.[0]?.comments?.length, 1);
  const mismatch = 'IdempotencyParameterMismatchException';
  await refused(mary.codecommit.postCommentForComparedCommit({ ...request, content: 'Twice' }), mismatch);
  await refused(li.codecommit.postCommentForComparedCommit(request), mismatch);
  const inReplyTo = posted[0]?.comment?.commentId;
  await refused(mary.codecommit.postCommentReply({ inReplyTo, content: 'Once', clientRequestToken: 'again' }), mismatch);
  const reply = { inReplyTo, content: 'Yes', clientRequestToken: 'reply' };
  const replies = [await li.codecommit.postCommentReply(reply), await li.codecommit.postCommentReply(reply)];
  assert.equal(replies[0]?.comment?.commentId, replies[1]?.comment?.commentId);
});

test('reactions in each of their forms, one of each user, and none', async () => {
  const { base, source } = await reviews.repository('reactions');
  const compared = { repositoryName: 'reactions', beforeCommitId: base, afterCommitId: source };
  const { comment } = await mary.codecommit.postCommentForComparedCommit({ ...compared, content: 'React' });
  const { commentId } = comment!;
  const react = (who: Reviewer, reactionValue: string) => who.codecommit.putCommentReaction({ commentId, reactionValue });
  const reactions = async (more: object = {}) => mary.codecommit.getCommentReactions({ commentId, ...more });
  const forms: [string, string][] = [
    [':thumbsdown:', 'thumbsdown'],
    ['👍', 'thumbsup'],
    ['U+1F604', 'smile'],
    ['❤', 'heart'],
    ['❤️', 'heart'],
    ['thumbsup', 'thumbsup'],
  ];
  for (const [value, shortCode] of forms) {
    await react(mary, value);
    const { reactionsForComment } = await reactions();
    assert.deepEqual(
      reactionsForComment?.map(({ reaction }) => reaction?.shortCode),
      [shortCode],
    );
  }
  await react(li, ':thumbsup:');
  await react(li, ':thumbsup:');
  const admin = { codecommit: reviews.codecommit } as Reviewer;
  await react(admin, ':confused:');
  const { reactionsForComment } = await reactions();
  assert.deepEqual(
    reactionsForComment?.map(({ reaction, reactionUsers }) => [reaction, reactionUsers?.length]),
    [
      [{ emoji: '😕', shortCode: 'confused', unicode: 'U+1F615' }, 1],
      [{ emoji: '👍', shortCode: 'thumbsup', unicode: 'U+1F44D' }, 2],
    ],
  );
  const shown = await mary.codecommit.getComment({ commentId });
  assert.deepEqual(shown.comment?.reactionCounts, { CONFUSED: 1, THUMBSUP: 2 });
  assert.deepEqual(shown.comment?.callerReactions, ['THUMBSUP']);
  const ofLi = await reactions({ reactionUserArn: li.arn });
  assert.deepEqual(ofLi.reactionsForComment?.[0]?.reactionUsers, [li.arn]);
  const pages: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await reactions({ maxResults: 1, nextToken });
    pages.push(...page.reactionsForComment!.flatMap(({ reaction, reactionUsers }) => reactionUsers!.map(() => reaction!.shortCode!)));
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(pages, ['confused', 'thumbsup', 'thumbsup']);
  await react(li, 'none');
  await react(admin, '');
  assert.deepEqual((await mary.codecommit.getComment({ commentId })).comment?.reactionCounts, { THUMBSUP: 1 });
  await refused(react(li, ':no_such_thing:'), 'InvalidReactionValueException');

  const told = await reviews.told(({ detail }) => detail.commentId === commentId && detail.callerUserArn === li.arn, 2);
  const byEvent = new Map(told.map((event) => [event.detail.event, event]));
  assert.equal(told[0]?.['detail-type'], 'CodeCommit Comment Reaction Change');
  const { repositoryId, ...detail } = brief(byEvent.get('commentReactionCreated')!);
  assert.ok(repositoryId);
  assert.deepEqual(detail, {
    callerUserArn: li.arn,
    commentId,
    event: 'commentReactionCreated',
    reactionEmojis: ['👍'],
    reactionShortcodes: [':thumbsup:'],
    reactionUnicodes: ['U+1F44D'],
    repositoryName: 'reactions',
  });
  assert.deepEqual(byEvent.get('commentReactionUpdated')?.detail.reactionEmojis, []);
});

test('reactions of users who are gone are only counted', async () => {
  const { base, source } = await reviews.repository('gone');
  const compared = { repositoryName: 'gone', beforeCommitId: base, afterCommitId: source };
  const { comment } = await mary.codecommit.postCommentForComparedCommit({ ...compared, content: 'React' });
  const { commentId } = comment!;
  const leaver = await reviews.user('Leaver');
  for (const who of [mary, leaver]) await who.codecommit.putCommentReaction({ commentId, reactionValue: ':heart:' });
  const iam = new IAM(server.client);
  await iam.deleteAccessKey({ UserName: 'Leaver', AccessKeyId: leaver.credentials.accessKeyId });
  await iam.deleteUserPolicy({ UserName: 'Leaver', PolicyName: 'codecommit' });
  await iam.deleteUser({ UserName: 'Leaver' });
  const { reactionsForComment } = await mary.codecommit.getCommentReactions({ commentId });
  assert.deepEqual(
    reactionsForComment?.map(({ reactionUsers, reactionsFromDeletedUsersCount }) => [reactionUsers, reactionsFromDeletedUsersCount]),
    [[[mary.arn], 1]],
  );
  assert.deepEqual((await mary.codecommit.getComment({ commentId })).comment?.reactionCounts, { HEART: 2 });
});

test('pages count comments; a place may go on in the next', async () => {
  const { base, source } = await reviews.repository('pages');
  const { pullRequestId } = await reviews.open('pages');
  const on = { pullRequestId, repositoryName: 'pages', beforeCommitId: base, afterCommitId: source };
  for (const [content, filePath] of [['1'], ['2', 'b'], ['3'], ['4', 'b'], ['5']]) {
    await mary.codecommit.postCommentForPullRequest({ ...on, content, location: filePath ? { filePath } : undefined });
  }
  const pages: (string | undefined)[][][] = [];
  let nextToken: string | undefined;
  do {
    const page = await li.codecommit.getCommentsForPullRequest({ pullRequestId, maxResults: 2, nextToken });
    pages.push(page.commentsForPullRequestData!.map(({ comments }) => comments!.map(({ content }) => content)));
    nextToken = page.nextToken;
  } while (nextToken);
  assert.deepEqual(pages, [[['1', '3']], [['5'], ['2']], [['4']]]);
});

test('comments are as guarded as their repository, and go with it', async () => {
  const { base, source } = await reviews.repository('guarded');
  const compared = { repositoryName: 'guarded', beforeCommitId: base, afterCommitId: source };
  const { comment } = await mary.codecommit.postCommentForComparedCommit({ ...compared, content: 'Secret' });
  const commentId = comment!.commentId!;
  const limited = await reviews.user('Limited', [
    { Effect: 'Allow', Action: 'codecommit:*', Resource: '*' },
    { Effect: 'Deny', Action: 'codecommit:*', Resource: 'arn:aws:codecommit:*:*:guarded' },
  ]);
  for (const call of [
    () => limited.codecommit.getComment({ commentId }),
    () => limited.codecommit.updateComment({ commentId, content: 'x' }),
    () => limited.codecommit.deleteCommentContent({ commentId }),
    () => limited.codecommit.postCommentReply({ inReplyTo: commentId, content: 'x' }),
    () => limited.codecommit.putCommentReaction({ commentId, reactionValue: ':heart:' }),
    () => limited.codecommit.getCommentReactions({ commentId }),
    () => limited.codecommit.getCommentsForComparedCommit(compared),
  ]) {
    await refused(call(), 'AccessDeniedException');
  }
  await mary.codecommit.putCommentReaction({ commentId, reactionValue: ':heart:' });
  await reviews.codecommit.deleteRepository({ repositoryName: 'guarded' });
  await refused(mary.codecommit.getComment({ commentId }), 'CommentDoesNotExistException');
});
