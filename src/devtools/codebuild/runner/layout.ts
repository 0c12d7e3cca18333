/** Where a build's own files are inside its machine. */
import type { Machine } from '../../../ports/machines/port.ts';

/** Absolute. As on AWS where the machine is made of an image and its root belongs to it; else below its work directory. */
export function codebuildDirectory({ image, workdir }: Pick<Machine, 'image' | 'workdir'>): string {
  return image === undefined ? `${workdir}/codebuild` : '/codebuild';
}
