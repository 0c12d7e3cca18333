/** GetBlobDifferences: what changed between two versions of a file, line by line, in hunks as `git diff` makes them. */
import { isBinary } from '../../git/merge-text.ts';
import { isObjectId } from '../../git/objects.ts';
import { gitStore } from '../../git/store.ts';
import type { TextHunk } from '../../git/text-diff.ts';
import { addedText, diffText } from '../../git/text-diff.ts';
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { MAX_FILE } from './create-commit.ts';
import type { OpenRepository } from './repository.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const DEFAULT_CONTEXT = 3;
const MAX_CONTEXT = 20;
/** What the model lets one hunk have; a longer run of changes becomes several hunks. */
const MAX_CHANGES = 25_000;
/** With more than this an answer takes no further hunk: it would else be hundreds of megabytes. */
const MAX_PAGE_CHANGES = 50_000;

export const getBlobDifferences = operation('codecommit', 'GetBlobDifferences', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const { repositoryName, beforeBlobId, afterBlobId, contextLines = DEFAULT_CONTEXT, ignoreWhitespace = false, NextToken } = input;
    const { MaxResults = DEFAULT_PAGE } = input;
    for (const id of [afterBlobId, beforeBlobId ?? afterBlobId]) {
      if (!isObjectId(id)) throw ctx.error('InvalidBlobIdException', `The specified blob is not valid: ${id.slice(0, 100)}`);
    }
    if (contextLines < 0 || contextLines > MAX_CONTEXT) {
      throw ctx.error('ValidationException', `The number of context lines must be between 0 and ${MAX_CONTEXT}: ${contextLines}`);
    }
    if (MaxResults < 1) {
      throw ctx.error('InvalidMaxResultsException', `The specified number of maximum results is not valid: ${MaxResults}`);
    }
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const [afterBlobSize, beforeBlobSize] = [await sizeOf(open, afterBlobId), beforeBlobId ? await sizeOf(open, beforeBlobId) : 0];
    const scope = ['codecommit:GetBlobDifferences', repository.id, beforeBlobId, afterBlobId, contextLines, ignoreWhitespace].join(':');
    const from = NextToken === undefined ? 0 : ctx.paging.open<number>(scope, NextToken);
    if (from === undefined) throw ctx.error('InvalidContinuationTokenException', 'The specified continuation token is not valid.');

    const sizes = { beforeBlobSize, afterBlobSize };
    const after = (await open.read(afterBlobId))!.data;
    const before = beforeBlobId === undefined ? undefined : (await open.read(beforeBlobId))!.data;
    if (isBinary(after) || (before && isBinary(before))) return { hunks: [], isBinary: true, ...sizes };
    const options = { from, limit: Math.min(MaxResults, MAX_PAGE), maxLines: MAX_CHANGES, maxPageLines: MAX_PAGE_CHANGES };
    const { hunks, more } = beforeBlobId
      ? await diffText(gitStore(ctx).cache.base(repository.id), beforeBlobId, afterBlobId, {
          ...options,
          context: contextLines,
          ignoreWhitespace,
        })
      : addedText(after, options);
    return {
      hunks: hunks.map(describe),
      isBinary: false,
      ...sizes,
      NextToken: more ? ctx.paging.seal(scope, from + hunks.length) : undefined,
    };
  },
});

async function sizeOf(open: OpenRepository, blobId: string): Promise<number> {
  const info = await open.info(blobId);
  if (info?.type !== 'blob') throw new AwsError('BlobIdDoesNotExistException', `The specified blob does not exist: ${blobId}`);
  if (info.size > MAX_FILE) {
    throw new AwsError('FileTooLargeException', `The blob ${blobId} exceeds the file size limit of 6 MB. Use git to compare it.`);
  }
  return info.size;
}

function describe(hunk: TextHunk): ShapeOf<'codecommit', 'DiffHunk'> {
  let [before, after] = [hunk.beforeStart, hunk.afterStart];
  return {
    beforeStartLine: hunk.beforeStart,
    beforeLineCount: hunk.beforeCount,
    afterStartLine: hunk.afterStart,
    afterLineCount: hunk.afterCount,
    changes: hunk.lines.map(({ sign, text }) => {
      if (sign === '+') return { type: 'ADD' as const, afterLineNumber: after++, content: text };
      if (sign === '-') return { type: 'DELETE' as const, beforeLineNumber: before++, content: text };
      return { type: 'CONTEXT' as const, beforeLineNumber: before++, afterLineNumber: after++, content: text };
    }),
  };
}
