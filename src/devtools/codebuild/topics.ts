/** What processes tell each other of builds; see Signals: hints only, the rows hold the facts. */

/** A build was queued: processes with a free slot look. */
export const QUEUE_TOPIC = 'codebuild.queue';
/** With the build's id: the process that runs it stops it. */
export const STOP_TOPIC = 'codebuild.stop';
/** A project's caches are not wanted any more: workers that keep some look. */
export const CACHE_TOPIC = 'codebuild.cache';

/** A build is over. */
export function overTopic(id: string): string {
  return `codebuild.over.${id}`;
}
