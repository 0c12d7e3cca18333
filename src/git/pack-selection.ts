/** Which packs of a repository to make one of: few packs are quick to search, but what is large must not be written again for every push. */

/** So many packs hurt nobody. */
export const ENOUGH_PACKS = 10;
/** Each pack shall have at least so many times the objects of all smaller ones together. */
const FACTOR = 2;

/**
 * The smallest packs that break the geometric order, with those that their union would break it for (as `git repack --geometric`); none while
 * there are few packs. An object thus is written again only as often as its repository doubles.
 */
export function packsToCombine<P extends { objects: number }>(packs: P[], enough = ENOUGH_PACKS): P[] {
  if (packs.length <= enough) return [];
  const sorted = [...packs].sort((a, b) => a.objects - b.objects);
  let split = sorted.length - 1;
  while (split > 0 && sorted[split]!.objects >= FACTOR * sorted[split - 1]!.objects) split--;
  // In order from `split` on; that one itself is too small beside its neighbour below, or is the smallest.
  let count = split === 0 ? 0 : split + 1;
  let objects = sorted.slice(0, count).reduce((sum, pack) => sum + pack.objects, 0);
  while (count < sorted.length && sorted[count]!.objects < FACTOR * objects) objects += sorted[count++]!.objects;
  return count > 1 ? sorted.slice(0, count) : [];
}
