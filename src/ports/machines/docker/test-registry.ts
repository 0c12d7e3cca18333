import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

/**
 * A registry of a test's own on 127.0.0.1, where engines accept plain HTTP: one image, for one user. Only what a pull asks for (OCI Distribution
 * Specification, "Pull").
 */
export class TestRegistry implements AsyncDisposable {
  readonly #server: Server;
  readonly #blobs = new Map<string, { type: string; content: Buffer }>();
  readonly #authorization: string;
  /** Of requests that were let in. */
  readonly served: string[] = [];

  private constructor(tar: Buffer, { username, password }: { username: string; password: string }) {
    this.#authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const layer = gzipSync(tar);
    const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] };
    const config = Buffer.from(
      JSON.stringify({ architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux', config: {}, rootfs }),
    );
    const docker = 'application/vnd.docker';
    const part = (kind: string, content: Buffer): object => {
      const mediaType = `${docker}.${kind}`;
      this.#blobs.set(digestOf(content), { type: mediaType, content });
      return { mediaType, size: content.length, digest: digestOf(content) };
    };
    const type = `${docker}.distribution.manifest.v2+json`;
    const manifest = {
      schemaVersion: 2,
      mediaType: type,
      config: part('container.image.v1+json', config),
      layers: [part('image.rootfs.diff.tar.gzip', layer)],
    };
    const content = Buffer.from(JSON.stringify(manifest));
    for (const name of ['1', digestOf(content)]) this.#blobs.set(name, { type, content });
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** @param tar the image's files. */
  static async start(tar: Buffer, credentials: { username: string; password: string }): Promise<TestRegistry> {
    const registry = new TestRegistry(tar, credentials);
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get image(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}/private/app:1`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer({ url = '', method, headers }: IncomingMessage, response: ServerResponse): void {
    if (headers.authorization !== this.#authorization) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="private"' });
      response.end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] }));
      return;
    }
    this.served.push(url);
    const blob = this.#blobs.get(url.slice(url.lastIndexOf('/') + 1));
    if (url !== '/v2/' && !blob) return void response.writeHead(404).end();
    const { type, content } = blob ?? { type: 'application/json', content: Buffer.from('{}') };
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': content.length, 'Docker-Content-Digest': digestOf(content) });
    response.end(method === 'HEAD' ? undefined : content);
  }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
