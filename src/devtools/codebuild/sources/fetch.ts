/** DOWNLOAD_SOURCE: primary and secondary sources onto the machine. */

import type { Clients } from '../../../platform/aws.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import { isServerType, parseCloneUrl } from '../providers/provider.ts';
import { packFiles } from '../runner/files.ts';
import type { BuildLog } from '../runner/log.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { FetchedSources } from '../runner/world.ts';
import { withSourceCache } from '../storage/source-cache.ts';
import type { BuildRow, Work } from '../tables.ts';
import { fetchCodeCommit } from './codecommit.ts';
import { fetchFromProvider } from './git-provider.ts';
import { fetchOnHost } from './on-host.ts';
import { fetchS3 } from './s3.ts';

export interface SourceContext {
  platform: Platform;
  clients: Clients;
  machine: Machine;
  row: Work;
  log: BuildLog;
  signal: AbortSignal;
  /** On the host, of this build alone. */
  directory: string;
}

type Source = NonNullable<BuildRow['definition']['source']>;

export interface OneSource {
  source: Source;
  version: string | undefined;
  /** `primary source` or `source <identifier>`, for messages. */
  label: string;
  /** Absolute, inside; does not exist yet. */
  target: string;
}

export async function fetchSources(context: SourceContext, root: string): Promise<FetchedSources & { resolved: string | undefined }> {
  const { definition } = context.row;
  const secondary = definition.secondarySources ?? [];
  const primary = definition.source ?? { type: 'NO_SOURCE' as const };
  const directory = `${root}/src${subdirectory(primary, 0, secondary.length > 0)}`;
  const env: Record<string, string> = {};
  const resolved = await fetchOne(context, {
    source: primary,
    version: definition.sourceVersion,
    label: 'primary source',
    target: directory,
  });
  env.CODEBUILD_RESOLVED_SOURCE_VERSION = resolved ?? '';
  for (const [index, source] of secondary.entries()) {
    const identifier = source.sourceIdentifier ?? '';
    const version = definition.secondarySourceVersions?.find((item) => item.sourceIdentifier === identifier)?.sourceVersion;
    const target = `${root}/src${subdirectory(source, index + 1, true)}`;
    await fetchOne(context, { source, version, label: `source ${identifier}`, target });
    env[`CODEBUILD_SRC_DIR_${identifier}`] = target;
    context.log.agent(`CODEBUILD_SRC_DIR_${identifier}=${target}`);
  }
  return { directory, env, resolved };
}

/** Below `src` as CodeBuild lays them out: repositories by their URL, files from S3 numbered when there are several. */
function subdirectory(source: Source, index: number, several: boolean): string {
  if (source.type === 'CODECOMMIT') return `/${(source.location ?? '').replace(/^https?:\/\//, '').replace(/:\d+(?=\/)/, '')}`;
  const cloneUrl = isServerType(source.type) && parseCloneUrl(source.location ?? '');
  if (cloneUrl) return `/${cloneUrl.url.hostname}/${cloneUrl.path}`;
  return several ? `/s3/${String(index).padStart(2, '0')}` : '';
}

/** The resolved version: a commit id, or an S3 object's version. */
async function fetchOne(context: SourceContext, one: OneSource): Promise<string | undefined> {
  switch (one.source.type) {
    case 'NO_SOURCE':
      await context.machine.put(one.target, packFiles({}));
      return undefined;
    case 'CODECOMMIT':
      return fetchOnHost(context, one, (context, one) => withSourceCache(context, one, () => fetchCodeCommit(context, one)));
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
    case 'BITBUCKET':
      return fetchOnHost(context, one, (context, one) => withSourceCache(context, one, () => fetchFromProvider(context, one)));
    case 'S3':
      return fetchS3(context, one, one.source.location ?? '', one.version);
    case 'CODEPIPELINE':
      // CodePipeline hands its artifacts over as ARNs of S3 objects in place of a version.
      if (!one.version?.startsWith('arn:aws:s3:::')) {
        throw new BuildFailure('CLIENT_ERROR', `${one.label} of type CODEPIPELINE can only be built by a pipeline`);
      }
      return fetchS3(context, one, one.version, undefined);
  }
}
