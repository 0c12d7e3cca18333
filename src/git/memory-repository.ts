/** A repository whose rows are a Map, served over plain HTTP without any rights: what tests of the git store push to and clone from. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createDummyBlobs } from '../ports/blobs/dummy.ts';
import type { RepositoryState } from './cache.ts';
import { FLUSH, packet } from './pkt-line.ts';
import type { PushRules } from './receive.ts';
import { receivePush } from './receive.ts';
import { advertisement } from './receive-request.ts';
import { createGitStore } from './store.ts';
import { protocolVersion, uploadAdvertisement, uploadPack } from './upload.ts';

export async function serveMemoryRepository() {
  const directory = await mkdtemp(path.join(tmpdir(), 'penstock-git-'));
  const store = createGitStore(directory, createDummyBlobs());
  const id = 'memory';
  const refs = new Map<string, { objectId: string; peeledId: string | null }>();
  const packs: RepositoryState['packs'] = [];
  const denied = new Set<string>();
  let generation = 0;

  const load = async (): Promise<RepositoryState> => ({
    generation,
    epoch: 0,
    head: 'refs/heads/main',
    refs: [...refs].map(([name, ref]) => ({ name, ...ref })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    packs,
  });
  const open = async () => (await store.cache.open(id, { generation, epoch: 0 }, load))!;
  const rules: PushRules = {
    authorize: async (names) => new Map(names.filter((name) => denied.has(name)).map((name) => [name, 'denied by policy'])),
    announce: async () => `git/${randomUUID()}`,
    async commit(changes, { pack }) {
      const results = changes.map(({ name, oldId, newId, peeledId }) => {
        if (refs.get(name)?.objectId !== oldId) return { name, error: 'failed to update ref' };
        if (newId === undefined) refs.delete(name);
        else refs.set(name, { objectId: newId, peeledId: peeledId ?? null });
        return { name, error: undefined };
      });
      if (pack) {
        packs.push(pack);
        await pack.install();
      }
      generation++;
      store.cache.advance(id, { before: generation - 1, after: generation });
      return results;
    },
  };

  const server = createServer(async (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const url = new URL(request.url!, 'http://localhost');
    const version = protocolVersion(request.headers['git-protocol'] as string | undefined);
    try {
      const view = await open();
      if (url.pathname === '/r/info/refs') {
        const service = url.searchParams.get('service')!;
        response.setHeader('content-type', `application/x-${service}-advertisement`);
        if (service === 'git-upload-pack') response.end(await uploadAdvertisement(view, version));
        else
          response.end(
            Buffer.concat([packet('# service=git-receive-pack\n'), FLUSH, ...advertisement((await load()).refs, version === 1)]),
          );
        return;
      }
      const service = url.pathname.slice(3);
      response.setHeader('content-type', `application/x-${service}-result`);
      if (service === 'git-upload-pack') await uploadPack(view, version, request, response, gone.signal, store.clones);
      else
        await receivePush(store, { repository: id, empty: refs.size === 0, input: request, output: response, signal: gone.signal }, rules);
    } catch (error) {
      if (!response.headersSent) response.writeHead(500).end(String(error));
      else response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/r`,
    directory,
    store,
    id,
    refs,
    packs,
    denied,
    open,
    async close() {
      store.readers.closeAll();
      store.cache.close();
      await store.clones.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
