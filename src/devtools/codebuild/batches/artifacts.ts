/** Where the artifacts of a batch's builds go: each to a place of its own. */
import { artifactKey } from '../storage/artifact-key.ts';
import { joinKey } from '../storage/s3-location.ts';
import type { BuildDefinition } from '../tables.ts';
import type { BatchRow } from './tables.ts';

type Artifacts = BuildDefinition['artifacts'];

/**
 * In S3 below a folder of the build's identifier. CodePipeline names its outputs after them: `identifier` for a primary artifact,
 * `identifier_artifact` for a secondary one (CodeBuild user guide, "CodePipeline/CodeBuild integrations and batch builds").
 */
export function groupArtifacts(batch: BatchRow, identifier: string): Pick<BuildDefinition, 'artifacts' | 'secondaryArtifacts'> {
  const { artifacts, secondaryArtifacts } = batch.definition;
  const combined = batch.config.combineArtifacts === true;
  if (secondaryArtifacts.some(({ type }) => type === 'CODEPIPELINE') && !combined) return outputsOf(secondaryArtifacts, identifier);
  return {
    artifacts: combined ? partOfCombined(batch, artifacts, identifier) : below(artifacts, identifier),
    secondaryArtifacts: secondaryArtifacts.map((item) => below(item, identifier)),
  };
}

function below(artifacts: Artifacts, folder: string): Artifacts {
  return artifacts.type === 'NO_ARTIFACTS' ? artifacts : { ...artifacts, path: joinKey(artifacts.path, folder) };
}

/** Files lie where they belong at once, in a folder for each build; archives are put together later, from beside the combined one. */
function partOfCombined(batch: BatchRow, artifacts: Artifacts, identifier: string): Artifacts {
  if (artifacts.type === 'NO_ARTIFACTS') return artifacts;
  const part = { ...artifacts, namespaceType: 'NONE' as const, overrideArtifactName: false };
  if (isArchive(artifacts)) return { ...part, path: joinKey(artifacts.path, batch.id), name: `${identifier}.zip` };
  return { ...part, path: artifactKey(artifacts, batch, {}), name: identifier };
}

/** CodePipeline moves artifacts as zips whatever packaging says. */
export function isArchive({ type, packaging }: Artifacts): boolean {
  return packaging === 'ZIP' || type === 'CODEPIPELINE';
}

/** An output of a pipeline that none of these builds has; undefined when each has one. */
export function unmatchedOutput({ definition, config }: BatchRow, identifiers: string[]): string | undefined {
  if (config.combineArtifacts) return undefined;
  const outputs = definition.secondaryArtifacts
    .filter(({ type }) => type === 'CODEPIPELINE')
    .map((output) => output.artifactIdentifier ?? '');
  return outputs.find((output) => !identifiers.some((identifier) => output === identifier || output.startsWith(`${identifier}_`)));
}

function outputsOf(outputs: Artifacts[], identifier: string): Pick<BuildDefinition, 'artifacts' | 'secondaryArtifacts'> {
  const prefix = `${identifier}_`;
  const primary = outputs.find(({ artifactIdentifier }) => artifactIdentifier === identifier);
  return {
    artifacts: primary ? { ...primary, artifactIdentifier: undefined } : { type: 'NO_ARTIFACTS' },
    secondaryArtifacts: outputs
      .filter(({ artifactIdentifier = '' }) => artifactIdentifier.startsWith(prefix))
      .map((output) => ({ ...output, artifactIdentifier: output.artifactIdentifier!.slice(prefix.length) })),
  };
}
