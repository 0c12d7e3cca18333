/** The world of a real build: rows and events by the platform, bytes by S3 and CodeCommit as the project's service role. */
import { AwsError } from '../../../platform/errors.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import type { SecretReference } from '../buildspec/buildspec.ts';
import type { CollectedReport } from '../reports/read-report.ts';
import { storeReport } from '../reports/store-report.ts';
import type { CacheKeys, CachePath } from '../runner/caching.ts';
import type { BuildLog } from '../runner/log.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { CollectedArtifact, FetchedSources, PhaseStep, World } from '../runner/world.ts';
import { credentialHelper } from '../sources/credential-helper.ts';
import { fetchSources, type SourceContext } from '../sources/fetch.ts';
import { asStream } from '../sources/s3.ts';
import { S3Cache } from '../storage/cache.ts';
import { CustomCache, keepsDirectories } from '../storage/custom-cache.ts';
import { parseS3Location } from '../storage/s3-location.ts';
import { uploadArtifact } from '../storage/upload-artifact.ts';
import type { BuildRow, StoredArtifact } from '../tables.ts';
import { type Changes, enterPhases } from './record.ts';
import { fetchParameters, fetchSecret } from './secret-values.ts';

/** bytes; a buildspec that is larger is none. */
const MAX_BUILDSPEC = 2 * 1024 * 1024;

type BuildContext = SourceContext & { row: BuildRow };

export class AwsWorld implements World {
  readonly #context: BuildContext;
  readonly #owner: string;
  /** Written with the next change of phase. */
  #changes: Changes = {};
  readonly #secondary: StoredArtifact[] = [];
  readonly #customCache: CustomCache;
  #sourceDirectory = '';
  #begun = false;

  constructor(context: BuildContext, owner: string) {
    this.#context = context;
    this.#owner = owner;
    this.#customCache = new CustomCache(context);
  }

  async enterPhases(steps: PhaseStep[], commands = false): Promise<void> {
    const { platform, row } = this.#context;
    const changes = this.#changes;
    this.#changes = {};
    if (commands && !this.#begun) changes.first_command_at = platform.now();
    this.#begun ||= commands;
    await enterPhases(platform, { id: row.id, owner: this.#owner }, steps, changes);
  }

  async fetchSources(_machine: Machine, root: string): Promise<FetchedSources> {
    const { resolved, ...sources } = await fetchSources(this.#context, root);
    if (resolved) this.#changes.resolved_source_version = resolved;
    this.#sourceDirectory = sources.directory;
    return sources;
  }

  async fetchBuildspec(arn: string): Promise<string> {
    const { bucket, key } = parseS3Location(arn);
    try {
      const object = await this.#context.clients.s3.getObject({ Bucket: bucket, Key: key });
      if ((object.ContentLength ?? 0) > MAX_BUILDSPEC)
        throw new BuildFailure('YAML_FILE_ERROR', `${arn} is larger than ${MAX_BUILDSPEC} bytes`);
      const chunks: Buffer[] = [];
      for await (const chunk of asStream(object.Body)) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    } catch (error) {
      if (error instanceof AwsError) throw new BuildFailure('YAML_FILE_ERROR', `${error.code}: ${error.message} for buildspec ${arn}`);
      throw error;
    }
  }

  fetchParameters(names: string[]): Promise<Map<string, string>> {
    return fetchParameters(this.#context.clients, names);
  }

  gitCredentialHelper(): Promise<Record<string, string>> {
    return credentialHelper(this.#context);
  }

  fetchSecret(reference: SecretReference): Promise<string> {
    return fetchSecret(this.#context.clients, reference);
  }

  restoreCache(_machine: Machine, keys: CacheKeys, paths: CachePath[]): Promise<void> {
    if (keepsDirectories(this.#context.row)) return this.#customCache.restore(paths, this.#sourceDirectory);
    return new S3Cache(this.#context).restore(keys, this.#sourceDirectory);
  }

  saveCache(_machine: Machine, keys: CacheKeys, paths: CachePath[]): Promise<void> {
    if (keepsDirectories(this.#context.row)) return this.#customCache.save(paths, this.#sourceDirectory);
    return new S3Cache(this.#context).save(keys, paths, this.#sourceDirectory);
  }

  storeReport(_machine: Machine, report: CollectedReport): Promise<void> {
    return storeReport(this.#context, report);
  }

  async uploadArtifact(machine: Machine, artifact: CollectedArtifact, _log: BuildLog, signal: AbortSignal): Promise<void> {
    const { clients, row, directory } = this.#context;
    const { artifacts, secondaryArtifacts } = row.definition;
    const settings =
      artifact.identifier === undefined ? artifacts : secondaryArtifacts.find((item) => item.artifactIdentifier === artifact.identifier);
    if (!settings) throw new BuildFailure('CLIENT_ERROR', `no definition for secondary artifact ${artifact.identifier} in project`);
    try {
      const stored = await uploadArtifact({ clients, machine, row, settings, artifact, directory, signal });
      if (artifact.identifier === undefined) this.#changes.artifacts = stored;
      else this.#changes.secondary_artifacts = [...this.#secondary, stored];
      if (artifact.identifier !== undefined) this.#secondary.push(stored);
    } catch (error) {
      if (error instanceof AwsError)
        throw new BuildFailure('CLIENT_ERROR', `Error in UPLOAD_ARTIFACTS phase: ${error.code}: ${error.message}`);
      throw error;
    }
  }
}
