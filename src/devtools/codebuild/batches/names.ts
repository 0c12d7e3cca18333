/** ARNs and ids of batches, and back; the reconciler, the first group and the topic of each. */
import { buildId, type Place } from '../names.ts';

export const BATCH_RECONCILER = 'codebuild.batch';

/** The group of a batch that fetches the source and reads the buildspec, as CodeBuild calls it. */
export const DOWNLOAD_SOURCE = 'DOWNLOAD_SOURCE';

export function batchArn(batch: Place & { project: string; id: string }): string {
  return `arn:aws:codebuild:${batch.region}:${batch.account}:build-batch/${buildId(batch)}`;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The parts of a batch's id or ARN; undefined when it is neither, or of another account or region. */
export function parseBatchId(place: Place, given: string): { project: string; id: string } | undefined {
  const prefix = batchArn({ ...place, project: '', id: '' }).slice(0, -1);
  const [project, id, ...rest] = (given.startsWith(prefix) ? given.slice(prefix.length) : given).split(':');
  if (!project || !id || rest.length > 0 || !UUID.test(id)) return undefined;
  return { project, id };
}

/** A batch is over. */
export function batchOverTopic(id: string): string {
  return `codebuild.batch-over.${id}`;
}
