/** From what both sides changed to what the merge makes of it: by itself, by the caller's strategy, or by the caller's own words. */
import { placing } from '../../git/merge.ts';
import type { TreeEntry } from '../../git/objects.ts';
import { isSubmodule, isTree } from '../../git/objects.ts';
import type { PackWriter } from '../../git/pack-writer.ts';
import type { Edit } from '../../git/tree-edit.ts';
import type { ReadById } from '../../git/trees.ts';
import { entryAt } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { checkFolderSizes, fileTooLarge, MAX_FILE } from './create-commit.ts';
import { toGitMode } from './file-modes.ts';
import type { Judged } from './merge-conflicts.ts';
import { pick } from './merge-conflicts.ts';
import type { ConflictRules, ConflictStrategy, Resolution } from './merge-tips.ts';
import { fromTreePath, toFilePath } from './paths.ts';

/** As many as one commit may change. */
const MAX_ENTRIES = 100;

type Replacement = ShapeOf<'codecommit', 'ReplaceContentEntry'>;

/** The caller's own words, by path in the tree. */
export interface Decisions {
  replace: Map<string, Replacement>;
  remove: Set<string>;
  mode: Map<string, string>;
}

/** Checks what is wrong whatever the branches hold. */
export function readDecisions(resolution: Resolution | undefined, strategy: ConflictStrategy | undefined): Decisions {
  const { replaceContents = [], deleteFiles = [], setFileModes = [] } = resolution ?? {};
  const entries = [...replaceContents, ...deleteFiles, ...setFileModes];
  if (entries.length > MAX_ENTRIES) {
    throw new AwsError('MaximumConflictResolutionEntriesExceededException', `More than ${MAX_ENTRIES} conflict resolutions were given.`);
  }
  if (entries.length > 0 && (strategy === 'ACCEPT_SOURCE' || strategy === 'ACCEPT_DESTINATION')) {
    throw invalid(`Conflicts cannot be resolved one by one when the strategy is ${strategy}.`);
  }
  const paths = new Set(entries.map(({ filePath }) => toFilePath(filePath)));
  if (paths.size < entries.length) {
    throw new AwsError('MultipleConflictResolutionEntriesException', 'More than one conflict resolution was given for one file.');
  }
  for (const entry of replaceContents) checkReplacement(entry);
  checkFolderSizes(replaceContents.map(({ filePath, content }) => ({ filePath, fileContent: content })));
  return {
    replace: new Map(replaceContents.map((entry) => [toFilePath(entry.filePath), entry])),
    remove: new Set(deleteFiles.map(({ filePath }) => toFilePath(filePath))),
    mode: new Map(setFileModes.map(({ filePath, fileMode }) => [toFilePath(filePath), toGitMode(fileMode)])),
  };
}

function checkReplacement({ filePath, replacementType, content }: Replacement): void {
  if (replacementType === 'USE_NEW_CONTENT' && content === undefined) {
    throw new AwsError('ReplacementContentRequiredException', `USE_NEW_CONTENT was given for ${filePath}, but no content.`);
  }
  if (replacementType !== 'USE_NEW_CONTENT' && content !== undefined) {
    throw new AwsError('InvalidReplacementContentException', `Content was given for ${filePath}, which ${replacementType} does not use.`);
  }
  if (content && content.length > MAX_FILE) throw fileTooLarge(filePath);
}

function invalid(message: string): AwsError {
  return new AwsError('InvalidConflictResolutionException', message);
}

export interface ResolveOptions {
  read: ReadById;
  writer: PackWriter;
  rules: ConflictRules;
  decisions: Decisions;
  /** The destination's root tree, which the edits are for. */
  tree: string;
}

/** Adds to `edits` what becomes of each judged path. `ManualMergeRequiredException` when one is left without an answer. */
export async function resolve(options: ResolveOptions, edits: Map<string, Edit>, judged: Judged[]): Promise<void> {
  const { decisions } = options;
  for (const one of judged) {
    const { contested } = one;
    const entry = decide(options, one);
    if (entry === 'unresolved') throw manualMergeRequired();
    for (const [path, edit] of await placing(options.read, contested, entry)) edits.set(path, edit);
  }
  const known = new Map(judged.map((one) => [one.contested.path, one]));
  for (const path of decisions.replace.keys()) {
    if (!known.get(path)?.conflicts) throw invalid(`${fromTreePath(path)} has no conflict to be resolved.`);
  }
  for (const path of decisions.remove) {
    if (known.has(path)) continue;
    await mergedFile(options, edits, path);
    edits.set(path, 'delete');
  }
  for (const [path, mode] of decisions.mode) edits.set(path, { id: (await mergedFile(options, edits, path)).id, mode });
}

export function manualMergeRequired(): AwsError {
  return new AwsError(
    'ManualMergeRequiredException',
    'The pull request cannot be merged automatically into the destination branch. You must manually merge the branches and resolve any conflicts.',
  );
}

/** What shall be at the path; undefined: nothing. */
function decide(options: ResolveOptions, judged: Judged): Pick<TreeEntry, 'id' | 'mode' | 'name'> | undefined | 'unresolved' {
  const { contested, conflicts } = judged;
  const { decisions, rules } = options;
  if (decisions.remove.has(contested.path)) return undefined;
  const replacement = decisions.replace.get(contested.path);
  if (replacement) return conflicts > 0 ? replaced(options, judged, replacement) : merged(options, judged, undefined);
  const onlyMode = judged.modeConflict && !judged.contentConflict;
  if (conflicts === 0 || (onlyMode && decisions.mode.has(contested.path))) return merged(options, judged, undefined);
  switch (rules.conflictResolutionStrategy) {
    case 'ACCEPT_SOURCE':
      return accepted(options, judged, 'source');
    case 'ACCEPT_DESTINATION':
      return accepted(options, judged, 'destination');
    default:
      return 'unresolved';
  }
}

function replaced({ writer }: ResolveOptions, { contested }: Judged, { replacementType, content, fileMode }: Replacement) {
  if (replacementType === 'USE_NEW_CONTENT') {
    const old = [contested.destination, contested.source].find((entry) => entry && !isTree(entry) && !isSubmodule(entry));
    const mode = fileMode ? toGitMode(fileMode) : (old?.mode ?? toGitMode('NORMAL'));
    return { name: '', mode, id: writer.add('blob', content!) };
  }
  const kept = { KEEP_BASE: contested.base, KEEP_SOURCE: contested.source, KEEP_DESTINATION: contested.destination }[replacementType];
  const isFile = kept && !isTree(kept) && !isSubmodule(kept);
  return isFile && fileMode ? { ...kept, mode: toGitMode(fileMode) } : kept;
}

/** The whole file of one side, or at line level only its side of each conflict. */
function accepted(options: ResolveOptions, judged: Judged, side: 'source' | 'destination') {
  const byLines = options.rules.conflictDetailLevel === 'LINE_LEVEL' && judged.text && !judged.typeConflict;
  return byLines ? merged(options, judged, side) : judged.contested[side];
}

/** Content and mode each as a three-way merge takes them; `side` settles what is in conflict. */
function merged({ writer }: ResolveOptions, { contested, text, modeConflict }: Judged, side: 'source' | 'destination' | undefined) {
  const { base, source, destination } = contested;
  const mode = modeConflict ? contested[side ?? 'destination']!.mode : pick(base?.mode, source?.mode, destination?.mode);
  const id = pick(base?.id, source?.id, destination?.id);
  if (mode === undefined || id === undefined) return undefined;
  const oneSided = source?.id === destination?.id || source?.id === base?.id || destination?.id === base?.id;
  if (oneSided || !text) return { name: '', mode, id };
  return { name: '', mode, id: writer.add('blob', Buffer.from(text.merged(side)!, 'latin1')) };
}

/** The file as it is with the edits so far. */
async function mergedFile({ read, tree }: ResolveOptions, edits: Map<string, Edit>, path: string): Promise<{ id: string }> {
  const edit = edits.get(path);
  const entry = edit ?? (await entryAt(read, tree, path));
  if (!entry || entry === 'delete' || isTree({ name: '', ...entry }) || isSubmodule({ name: '', ...entry })) {
    throw invalid(`The merge has no file ${fromTreePath(path)}.`);
  }
  return entry;
}
