/** Calls that deserve an error of CodeCommit's, about a repository that codecommit-errors.test.ts makes: see its branches there. */

export const repositoryName = 'errors';
const MB = 1024 * 1024;

/** What the calls are made about. */
export interface Stage {
  region: string;
  account: string;
  /** Tips of branches. */
  commits: Record<string, string>;
  pullRequests: { open: string; closed: string };
}

/** The error that this operation answers to this input. */
export type Provocation = [error: string, operation: string, input: () => object];

export function triggersOf({ region, account }: Pick<Stage, 'region' | 'account'>, ...changes: object[]) {
  const destinationArn = `arn:aws:sns:${region}:${account}:topic`;
  return {
    repositoryName,
    triggers: changes.map((change, index) => ({ name: `t${index}`, destinationArn, events: ['all'], ...change })),
  };
}

export function provocationsOf(stage: Stage): Provocation[] {
  const { region, account, commits, pullRequests } = stage;

  const bytes = (text: string) => Buffer.from(text);
  const at = { repositoryName };
  const arn = (name: string) => `arn:aws:codecommit:${region}:${account}:${name}`;
  const merge = (source: string, destination: string, more: object = {}) => ({
    ...at,
    sourceCommitSpecifier: source,
    destinationCommitSpecifier: destination,
    ...more,
  });
  const put = (more: object = {}) => ({
    ...at,
    branchName: 'main',
    parentCommitId: commits.main,
    filePath: 'a',
    fileContent: bytes('new'),
    ...more,
  });
  const commit = (more: object = {}) => ({
    ...at,
    branchName: 'main',
    parentCommitId: commits.main,
    putFiles: [{ filePath: 'a', fileContent: bytes('new') }],
    ...more,
  });
  const resolution = (filePath: string, more: object) => ({ conflictResolution: { replaceContents: [{ filePath, ...more }] } });
  const pull = (more: object = {}) => ({
    title: 'title',
    targets: [{ repositoryName, sourceReference: 'side', destinationReference: 'main' }],
    ...more,
  });

  const repositories: Provocation[] = [
    ['RepositoryNameExistsException', 'CreateRepository', () => at],
    ['RepositoryLimitExceededException', 'CreateRepository', () => ({ repositoryName: 'fourth' })],
    ['InvalidRepositoryNameException', 'CreateRepository', () => ({ repositoryName: 'a.git' })],
    ['InvalidRepositoryDescriptionException', 'CreateRepository', () => ({ repositoryName: 'x', repositoryDescription: 'd'.repeat(1001) })],
    ['InvalidTagsMapException', 'CreateRepository', () => ({ repositoryName: 'x', tags: { 'a!': '' } })],
    ['InvalidSystemTagUsageException', 'TagResource', () => ({ resourceArn: arn(repositoryName), tags: { 'aws:x': 'y' } })],
    ['InvalidTagKeysListException', 'UntagResource', () => ({ resourceArn: arn(repositoryName), tagKeys: ['k'.repeat(129)] })],
    [
      'TooManyTagsException',
      'TagResource',
      () => ({ resourceArn: arn(repositoryName), tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`t${n}`, ''])) }),
    ],
    ['InvalidResourceArnException', 'ListTagsForResource', () => ({ resourceArn: 'arn:aws:s3:::bucket' })],
    ['InvalidRepositoryNameException', 'ListTagsForResource', () => ({ resourceArn: arn('a b') })],
    ['RepositoryDoesNotExistException', 'UntagResource', () => ({ resourceArn: arn('absent'), tagKeys: ['a'] })],
    ['MaximumRepositoryNamesExceededException', 'BatchGetRepositories', () => ({ repositoryNames: Array(101).fill('a') })],
    ['RepositoryNamesRequiredException', 'BatchGetRepositories', () => ({ repositoryNames: [] })],
    ['InvalidContinuationTokenException', 'ListRepositories', () => ({ nextToken: 'x' })],
    ['RepositoryNameExistsException', 'UpdateRepositoryName', () => ({ oldName: 'third', newName: 'empty' })],
  ];

  const branches: Provocation[] = [
    ['BranchNameExistsException', 'CreateBranch', () => ({ ...at, branchName: 'side', commitId: commits.base })],
    ['InvalidBranchNameException', 'CreateBranch', () => ({ ...at, branchName: 'a..b', commitId: commits.base })],
    ['InvalidBranchNameException', 'CreateBranch', () => ({ ...at, branchName: '1'.repeat(40), commitId: commits.base })],
    ['InvalidCommitIdException', 'CreateBranch', () => ({ ...at, branchName: 'x', commitId: 'main' })],
    ['CommitDoesNotExistException', 'CreateBranch', () => ({ ...at, branchName: 'x', commitId: '1'.repeat(40) })],
    ['BranchDoesNotExistException', 'GetBranch', () => ({ ...at, branchName: 'absent' })],
    ['BranchNameRequiredException', 'GetBranch', () => at],
    ['RepositoryNameRequiredException', 'GetBranch', () => ({ branchName: 'main' })],
    ['DefaultBranchCannotBeDeletedException', 'DeleteBranch', () => ({ ...at, branchName: 'main' })],
    ['BranchDoesNotExistException', 'UpdateDefaultBranch', () => ({ ...at, defaultBranchName: 'absent' })],
    ['InvalidContinuationTokenException', 'ListBranches', () => ({ ...at, nextToken: 'x' })],
  ];

  const writing: Provocation[] = [
    ['ParentCommitIdRequiredException', 'PutFile', () => put({ parentCommitId: undefined })],
    ['InvalidParentCommitIdException', 'PutFile', () => put({ parentCommitId: 'main' })],
    ['ParentCommitDoesNotExistException', 'PutFile', () => put({ parentCommitId: '1'.repeat(40) })],
    ['ParentCommitIdOutdatedException', 'PutFile', () => put({ parentCommitId: commits.base })],
    ['BranchDoesNotExistException', 'PutFile', () => put({ branchName: 'absent' })],
    ['BranchNameIsTagNameException', 'PutFile', () => put({ branchName: 'v1' })],
    ['SameFileContentException', 'PutFile', () => put({ fileContent: bytes('main') })],
    ['FileContentSizeLimitExceededException', 'PutFile', () => put({ fileContent: Buffer.alloc(6 * MB + 1) })],
    ['InvalidPathException', 'PutFile', () => put({ filePath: `${'d/'.repeat(21)}f` })],
    ['InvalidPathException', 'PutFile', () => put({ filePath: 'p'.repeat(4097) })],
    ['InvalidPathException', 'PutFile', () => put({ filePath: '../a' })],
    ['FileNameConflictsWithDirectoryNameException', 'PutFile', () => put({ filePath: 'dir' })],
    ['DirectoryNameConflictsWithFileNameException', 'PutFile', () => put({ filePath: 'a/b' })],
    ['FilePathConflictsWithSubmodulePathException', 'PutFile', () => put({ filePath: 'sub/x' })],
    ['NameLengthExceededException', 'PutFile', () => put({ name: 'n'.repeat(1001) })],
    ['InvalidEmailException', 'PutFile', () => put({ email: 'a\n<b' })],
    ['CommitMessageLengthExceededException', 'PutFile', () => put({ commitMessage: 'm'.repeat(20 * MB + 1) })],
    ['FileDoesNotExistException', 'DeleteFile', () => put({ filePath: 'absent', fileContent: undefined })],
    ['FileEntryRequiredException', 'CreateCommit', () => commit({ putFiles: [] })],
    [
      'MaximumFileEntriesExceededException',
      'CreateCommit',
      () => commit({ putFiles: Array.from({ length: 101 }, (_, n) => ({ filePath: `f${n}`, fileContent: bytes('x') })) }),
    ],
    [
      'PutFileEntryConflictException',
      'CreateCommit',
      () => commit({ putFiles: ['x', 'x/y'].map((filePath) => ({ filePath, fileContent: bytes('x') })) }),
    ],
    ['SamePathRequestException', 'CreateCommit', () => commit({ deleteFiles: [{ filePath: 'a' }] })],
    ['SourceFileOrContentRequiredException', 'CreateCommit', () => commit({ putFiles: [{ filePath: 'x' }] })],
    [
      'FileContentAndSourceFileSpecifiedException',
      'CreateCommit',
      () => commit({ putFiles: [{ filePath: 'x', fileContent: bytes('x'), sourceFile: { filePath: 'a' } }] }),
    ],
    [
      'RestrictedSourceFileException',
      'CreateCommit',
      () => commit({ putFiles: [{ filePath: 'x', sourceFile: { filePath: 'a' } }], deleteFiles: [{ filePath: 'a' }] }),
    ],
    [
      'FolderContentSizeLimitExceededException',
      'CreateCommit',
      () => commit({ putFiles: ['f/1', 'f/2'].map((filePath) => ({ filePath, fileContent: Buffer.alloc(4 * MB) })) }),
    ],
    ['NoChangeException', 'CreateCommit', () => commit({ putFiles: [{ filePath: 'a', fileContent: bytes('main') }] })],
    ['InvalidPathException', 'CreateCommit', () => commit({ putFiles: [{ filePath: `${'d/'.repeat(21)}f`, fileContent: bytes('x') }] })],
  ];

  const reading: Provocation[] = [
    ['InvalidCommitIdException', 'GetCommit', () => ({ ...at, commitId: 'main' })],
    ['CommitIdDoesNotExistException', 'GetCommit', () => ({ ...at, commitId: '1'.repeat(40) })],
    ['CommitIdsListRequiredException', 'BatchGetCommits', () => ({ ...at, commitIds: [] })],
    ['CommitIdsLimitExceededException', 'BatchGetCommits', () => ({ ...at, commitIds: Array(101).fill('1'.repeat(40)) })],
    ['InvalidCommitException', 'GetFile', () => ({ ...at, filePath: 'a', commitSpecifier: 'a..b' })],
    ['CommitDoesNotExistException', 'GetFile', () => ({ ...at, filePath: 'a', commitSpecifier: 'absent' })],
    ['FileDoesNotExistException', 'GetFile', () => ({ ...at, filePath: 'absent' })],
    ['FileTooLargeException', 'GetFile', () => ({ ...at, filePath: 'huge', commitSpecifier: 'huge' })],
    ['InvalidPathException', 'GetFile', () => ({ ...at, filePath: 'a//b' })],
    ['FolderDoesNotExistException', 'GetFolder', () => ({ ...at, folderPath: 'a' })],
    ['InvalidPathException', 'GetFolder', () => ({ ...at, folderPath: '../x' })],
    ['InvalidBlobIdException', 'GetBlob', () => ({ ...at, blobId: 'x' })],
    ['BlobIdDoesNotExistException', 'GetBlob', () => ({ ...at, blobId: '1'.repeat(40) })],
    ['PathDoesNotExistException', 'GetDifferences', () => ({ ...at, afterCommitSpecifier: 'main', afterPath: 'absent' })],
    ['InvalidMaxResultsException', 'GetDifferences', () => ({ ...at, afterCommitSpecifier: 'main', MaxResults: 0 })],
    ['InvalidContinuationTokenException', 'GetDifferences', () => ({ ...at, afterCommitSpecifier: 'main', NextToken: 'x' })],
    ['InvalidCommitException', 'ListFileCommitHistory', () => ({ ...at, filePath: 'a', commitSpecifier: 'a..b' })],
    ['ValidationException', 'GetBlobDifferences', () => ({ ...at, afterBlobId: '1'.repeat(40), contextLines: -1 })],
  ];

  const conflicted = (more: object = {}) => merge('side', 'main', { targetBranch: 'main', ...more });
  const asked = (more: object = {}) => merge('side', 'main', { mergeOption: 'THREE_WAY_MERGE', ...more });

  const merging: Provocation[] = [
    ['ManualMergeRequiredException', 'MergeBranchesByThreeWay', () => conflicted()],
    ['ManualMergeRequiredException', 'MergeBranchesByFastForward', () => conflicted()],
    ['TipsDivergenceExceededException', 'MergeBranchesBySquash', () => merge('unrelated', 'main')],
    ['ConcurrentReferenceUpdateException', 'MergeBranchesByFastForward', () => merge('main', commits.base!, { targetBranch: 'main' })],
    ['BranchNameRequiredException', 'MergeBranchesByFastForward', () => merge('ahead', commits.main!)],
    ['BranchNameIsTagNameException', 'MergeBranchesByFastForward', () => merge('main', 'v1')],
    ['BranchDoesNotExistException', 'MergeBranchesBySquash', () => merge('side', 'main', { targetBranch: 'absent' })],
    ['InvalidTargetBranchException', 'MergeBranchesBySquash', () => merge('side', 'main', { targetBranch: 'a..b' })],
    ['InvalidBranchNameException', 'MergeBranchesBySquash', () => merge('side', 'a..b')],
    ['CommitDoesNotExistException', 'MergeBranchesBySquash', () => merge('absent', 'main')],
    ['InvalidCommitException', 'GetMergeOptions', () => merge('a..b', 'main')],
    ['CommitRequiredException', 'GetMergeOptions', () => ({ ...at, sourceCommitSpecifier: 'side' })],
    ['InvalidSourceCommitSpecifierException', 'GetMergeConflicts', () => asked({ sourceCommitSpecifier: 'a..b' })],
    ['InvalidDestinationCommitSpecifierException', 'GetMergeConflicts', () => asked({ destinationCommitSpecifier: 'a..b' })],
    ['InvalidMaxConflictFilesException', 'GetMergeConflicts', () => asked({ maxConflictFiles: 0 })],
    ['InvalidMaxMergeHunksException', 'DescribeMergeConflicts', () => asked({ filePath: 'a', maxMergeHunks: 0 })],
    ['FileDoesNotExistException', 'DescribeMergeConflicts', () => asked({ filePath: 'absent' })],
    ['InvalidContinuationTokenException', 'BatchDescribeMergeConflicts', () => asked({ nextToken: 'x' })],
    ['MaximumFileContentToLoadExceededException', 'GetMergeOptions', () => merge('huge1', 'huge2')],
    ['MaximumItemsToCompareExceededException', 'GetMergeOptions', () => merge('side', 'many')],
    ['InvalidMergeOptionException', 'CreateUnreferencedMergeCommit', () => asked({ mergeOption: 'FAST_FORWARD_MERGE' })],
    [
      'MultipleConflictResolutionEntriesException',
      'CreateUnreferencedMergeCommit',
      () => asked({ conflictResolution: { deleteFiles: [{ filePath: 'a' }], setFileModes: [{ filePath: 'a', fileMode: 'NORMAL' }] } }),
    ],
    [
      'MaximumConflictResolutionEntriesExceededException',
      'MergeBranchesByThreeWay',
      () => conflicted({ conflictResolution: { deleteFiles: Array.from({ length: 101 }, (_, n) => ({ filePath: `f${n}` })) } }),
    ],
    [
      'ReplacementContentRequiredException',
      'MergeBranchesByThreeWay',
      () => conflicted(resolution('a', { replacementType: 'USE_NEW_CONTENT' })),
    ],
    [
      'InvalidReplacementContentException',
      'MergeBranchesByThreeWay',
      () => conflicted(resolution('a', { replacementType: 'KEEP_BASE', content: bytes('x') })),
    ],
    [
      'InvalidConflictResolutionException',
      'MergeBranchesByThreeWay',
      () => conflicted({ conflictResolutionStrategy: 'ACCEPT_SOURCE', ...resolution('a', { replacementType: 'KEEP_BASE' }) }),
    ],
    [
      'FileContentSizeLimitExceededException',
      'MergeBranchesByThreeWay',
      () => conflicted(resolution('a', { replacementType: 'USE_NEW_CONTENT', content: Buffer.alloc(6 * MB + 1) })),
    ],
  ];

  const pulling: Provocation[] = [
    ['TargetsRequiredException', 'CreatePullRequest', () => pull({ targets: [] })],
    ['TitleRequiredException', 'CreatePullRequest', () => pull({ title: ' ' })],
    ['InvalidTargetsException', 'CreatePullRequest', () => pull({ targets: [...pull().targets, ...pull().targets] })],
    [
      'MultipleRepositoriesInPullRequestException',
      'CreatePullRequest',
      () => pull({ targets: [...pull().targets, { repositoryName: 'empty', sourceReference: 'x' }] }),
    ],
    ['ReferenceDoesNotExistException', 'CreatePullRequest', () => pull({ targets: [{ repositoryName, sourceReference: 'absent' }] })],
    [
      'ReferenceTypeNotSupportedException',
      'CreatePullRequest',
      () => pull({ targets: [{ repositoryName, sourceReference: 'refs/tags/v1' }] }),
    ],
    ['InvalidReferenceNameException', 'CreatePullRequest', () => pull({ targets: [{ repositoryName, sourceReference: 'a..b' }] })],
    ['SourceAndDestinationAreSameException', 'CreatePullRequest', () => pull({ targets: [{ repositoryName, sourceReference: 'main' }] })],
    ['IdempotencyParameterMismatchException', 'CreatePullRequest', () => pull({ title: 'another', clientRequestToken: 'open' })],
    ['InvalidClientRequestTokenException', 'CreatePullRequest', () => pull({ clientRequestToken: 'a|b c\n' })],
    ['InvalidPullRequestIdException', 'GetPullRequest', () => ({ pullRequestId: 'x' })],
    ['PullRequestDoesNotExistException', 'GetPullRequest', () => ({ pullRequestId: '999' })],
    ['PullRequestAlreadyClosedException', 'UpdatePullRequestTitle', () => ({ pullRequestId: pullRequests.closed, title: 'x' })],
    [
      'InvalidPullRequestStatusUpdateException',
      'UpdatePullRequestStatus',
      () => ({ pullRequestId: pullRequests.closed, pullRequestStatus: 'OPEN' }),
    ],
    ['InvalidAuthorArnException', 'ListPullRequests', () => ({ ...at, authorArn: 'me' })],
    ['InvalidActorArnException', 'DescribePullRequestEvents', () => ({ pullRequestId: pullRequests.open, actorArn: 'me' })],
    [
      'RepositoryNotAssociatedWithPullRequestException',
      'MergePullRequestBySquash',
      () => ({ pullRequestId: pullRequests.open, repositoryName: 'empty' }),
    ],
    [
      'TipOfSourceReferenceIsDifferentException',
      'MergePullRequestBySquash',
      () => ({ ...at, pullRequestId: pullRequests.open, sourceCommitId: commits.base }),
    ],
    ['InvalidCommitIdException', 'MergePullRequestBySquash', () => ({ ...at, pullRequestId: pullRequests.open, sourceCommitId: 'x' })],
    ['ManualMergeRequiredException', 'MergePullRequestByFastForward', () => ({ ...at, pullRequestId: pullRequests.open })],
  ];

  const triggers = (...changes: object[]) => triggersOf(stage, ...changes);
  const triggering: Provocation[] = [
    ['RepositoryTriggersListRequiredException', 'TestRepositoryTriggers', () => triggers()],
    ['MaximumRepositoryTriggersExceededException', 'PutRepositoryTriggers', () => triggers(...Array(11).fill({}))],
    ['RepositoryTriggerNameRequiredException', 'PutRepositoryTriggers', () => triggers({ name: '' })],
    ['InvalidRepositoryTriggerNameException', 'PutRepositoryTriggers', () => triggers({ name: 'a,b' })],
    ['RepositoryTriggerDestinationArnRequiredException', 'PutRepositoryTriggers', () => triggers({ destinationArn: '' })],
    ['InvalidRepositoryTriggerDestinationArnException', 'PutRepositoryTriggers', () => triggers({ destinationArn: 'topic' })],
    [
      'InvalidRepositoryTriggerRegionException',
      'PutRepositoryTriggers',
      () => triggers({ destinationArn: 'arn:aws:sns:mars-west-1:123456789012:topic' }),
    ],
    ['InvalidRepositoryTriggerCustomDataException', 'PutRepositoryTriggers', () => triggers({ customData: 'x'.repeat(1001) })],
    ['MaximumBranchesExceededException', 'PutRepositoryTriggers', () => triggers({ branches: Array(11).fill('b') })],
    ['InvalidRepositoryTriggerBranchNameException', 'PutRepositoryTriggers', () => triggers({ branches: ['a..b'] })],
    ['RepositoryTriggerEventsListRequiredException', 'PutRepositoryTriggers', () => triggers({ events: [] })],
    ['InvalidRepositoryTriggerEventsException', 'PutRepositoryTriggers', () => triggers({ events: ['all', 'createReference'] })],
  ];

  return [...repositories, ...branches, ...writing, ...reading, ...merging, ...pulling, ...triggering];
}
