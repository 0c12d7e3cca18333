/** Where an artifact lies in its bucket (CodeBuild API reference, ProjectArtifacts: path, namespaceType, name, packaging). */
import type { BuildDefinition } from '../tables.ts';
import { joinKey } from './s3-location.ts';

type Artifacts = BuildDefinition['artifacts'];

/**
 * `path/build-id/name`; the name `/` means the root of the bucket. `fromBuildspec` is the buildspec's name and is used when the project
 * lets it (overrideArtifactName); its s3-prefix goes before the build id where the namespace has one.
 */
export function artifactKey(artifacts: Artifacts, build: { id: string }, fromBuildspec: { name?: string; s3Prefix?: string }): string {
  const name = artifacts.overrideArtifactName && fromBuildspec.name ? fromBuildspec.name : artifacts.name;
  const namespaced = artifacts.namespaceType === 'BUILD_ID';
  const key = joinKey(artifacts.path, namespaced ? fromBuildspec.s3Prefix : undefined, namespaced ? build.id : undefined, name);
  if (artifacts.packaging === 'ZIP' && key === '') return `${build.id}.zip`;
  return key;
}
