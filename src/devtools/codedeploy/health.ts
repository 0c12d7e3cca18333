/** How many instances a deployment may take down at once, and when it has succeeded or can no longer succeed. */
import type { MinimumHealthyHosts } from './tables.ts';

/** How a deployment's instances stand. Instances that left the group while it ran are in none of the counts. */
export interface Progress {
  pending: number;
  inProgress: number;
  succeeded: number;
  failed: number;
}

export type Verdict =
  /** Begin this many more of the pending instances (0: wait for those in progress). */
  { next: 'go on'; start: number } | { next: 'succeed' } | { next: 'fail' };

/**
 * The number of instances that must stay healthy. A percentage is rounded up, but always leaves one instance to deploy to: so "99 %" means
 * one at a time however small the group is.
 */
export function minimumHealthy({ type, value = 0 }: MinimumHealthyHosts, total: number): number {
  if (type === 'HOST_COUNT') return value;
  return Math.min(Math.ceil((total * value) / 100), total - 1);
}

/** False when so many instances must stay healthy that not one may be taken down: such a deployment cannot start. */
export function canStart(rule: MinimumHealthyHosts, total: number): boolean {
  return minimumHealthy(rule, total) < total;
}

/**
 * Failed instances and those being deployed to count as down. Whoever would have to take down one more than the rule allows has failed;
 * hence a failure of the last instance is borne where a failure of the first is not. At least one instance must succeed in any case.
 */
export function judge(rule: MinimumHealthyHosts, { pending, inProgress, succeeded, failed }: Progress): Verdict {
  const total = pending + inProgress + succeeded + failed;
  const minimum = minimumHealthy(rule, total);
  const mayTakeDown = Math.max(0, total - minimum - failed - inProgress);
  if (pending > 0 && mayTakeDown > 0) return { next: 'go on', start: Math.min(pending, mayTakeDown) };
  if (inProgress > 0) return { next: 'go on', start: 0 };
  return pending === 0 && succeeded >= Math.max(minimum, 1) ? { next: 'succeed' } : { next: 'fail' };
}
