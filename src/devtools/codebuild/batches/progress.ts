/** What is due in a batch whose buildspec has been read: a function of its groups alone. */
import { DOWNLOAD_SOURCE } from './names.ts';
import type { BatchRow, StoredGroup } from './tables.ts';

export interface Progress {
  /** With those that will never run marked as STOPPED. */
  groups: StoredGroup[];
  ending: BatchRow['ending'];
  /** Groups whose turn it is. */
  start: StoredGroup[];
  /** Groups whose builds are to be stopped. */
  stop: StoredGroup[];
  /** How the builds ended; undefined as long as one runs or is to run. */
  verdict: 'SUCCEEDED' | 'FAILED' | 'STOPPED' | 'TIMED_OUT' | undefined;
}

export function progressOf({
  groups: before,
  ending: given,
  fast_fail: fastFail,
}: Pick<BatchRow, 'groups' | 'ending' | 'fast_fail'>): Progress {
  const ending = given ?? (fastFail && before.some(hasFailed) ? 'FAILED' : null);
  const groups = skip(before, ending !== null);
  const builds = groups.filter(({ identifier }) => identifier !== DOWNLOAD_SOURCE);
  const running = groups.filter(({ build }) => build.status === 'IN_PROGRESS');
  const start = builds.filter((group) => group.build.status === 'PENDING' && dependencies(group, groups).every(letsGo));
  const stop = ending === null ? [] : running;
  const over = running.length === 0 && builds.every(({ build }) => build.status !== 'PENDING');
  return { groups, ending, start, stop, verdict: over ? (ending ?? (groups.some(hasFailed) ? 'FAILED' : 'SUCCEEDED')) : undefined };
}

/** Marks what cannot run any more: all that has not begun when the batch comes to an end, else what waits for something that failed. */
function skip(groups: StoredGroup[], all: boolean): StoredGroup[] {
  let current = groups;
  for (;;) {
    const next = current.map((group) => {
      const never = group.build.status === 'PENDING' && (all || dependencies(group, current).some(hasFailed));
      return never ? { ...group, build: { ...group.build, status: 'STOPPED' as const } } : group;
    });
    if (next.every((group, index) => group === current[index])) return next;
    current = next;
  }
}

function dependencies({ dependsOn = [] }: StoredGroup, groups: StoredGroup[]): StoredGroup[] {
  return groups.filter(({ identifier }) => dependsOn.includes(identifier));
}

function letsGo({ build, ignoreFailure }: StoredGroup): boolean {
  return build.status === 'SUCCEEDED' || (ignoreFailure && isOver(build.status));
}

export function hasFailed({ build, ignoreFailure }: StoredGroup): boolean {
  return !ignoreFailure && isOver(build.status) && build.status !== 'SUCCEEDED';
}

function isOver(status: StoredGroup['build']['status']): boolean {
  return status !== 'PENDING' && status !== 'IN_PROGRESS';
}
