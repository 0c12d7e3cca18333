/**
 * Keeps the packs of a repository few: each push and each commit by the API brings one, and they are put together in the background, the small
 * ones often, the large ones seldom. Pushes go on meanwhile: what they bring is not touched, and the row of a pack changes in one transaction.
 */
import { packsToCombine } from '../../git/pack-selection.ts';
import { Quarantine } from '../../git/quarantine.ts';
import { gitStore } from '../../git/store.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import { announcePack, giveUp, replacePacks, repositoriesOfManyPacks } from './packs.ts';
import { openView } from './repository.ts';
import { isClosed } from './repository-keys.ts';

export const combinePacks: Reconciler = {
  pending: repositoriesOfManyPacks,
  async run(platform, id, signal) {
    const packs = await platform.read
      .selectFrom('codecommit.packs')
      .select(['blob_key', 'name', 'objects'])
      .where('repository_id', '=', id)
      .where('state', '=', 'live')
      .where('unneeded_since', 'is', null)
      .execute();
    // After the packs: what this row's generation needs is in them or in newer ones.
    const repository = await platform.read.selectFrom('codecommit.repositories').selectAll().where('id', '=', id).executeTakeFirst();
    if (!repository || (await isClosed(platform, repository))) return;
    // Also where there is nothing to combine: the indexes over the packs are looked after when a view is opened.
    await openView(platform, repository);
    const chosen = packsToCombine(packs);
    if (chosen.length > 0) await combine(platform, id, chosen, signal);
  },
};

/**
 * The union of packs in their place. Since nothing is left out, the repository's packs together have all that any of their objects needs, as
 * before. Killed before the transaction, this has only left an announced blob; after it, all is done.
 */
async function combine(platform: Platform, id: string, chosen: { blob_key: string; name: string }[], signal: AbortSignal): Promise<void> {
  const store = gitStore(platform);
  await using quarantine = await Quarantine.open(store, id);
  const pack = await quarantine.collect(['--stdin-packs'], chosen.map(({ name }) => `pack-${name}.pack\n`).join(''), signal);
  if (!pack) throw new Error(`The packs of repository ${id} came to nothing together.`);
  const blobKey = await announcePack(platform, { id });
  const replaced = await keepAndReplace();
  if (replaced) await quarantine.install();
  else await giveUp(platform, id, blobKey);

  async function keepAndReplace(): Promise<boolean> {
    try {
      await quarantine.keep({ blobs: store.blobs, key: Promise.resolve(blobKey), asItArrives: false }, signal);
      return await replacePacks(platform, id, { replaced: chosen, packs: [{ ...pack!, blobKey }] });
    } catch (error) {
      await giveUp(platform, id, blobKey).catch(() => {});
      throw error;
    }
  }
}
