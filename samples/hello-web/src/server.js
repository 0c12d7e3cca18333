import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { GREETING, page } from './page.js';

/** A server for one release; `release` is the content of version.json. */
export function createApp({ release, instance, greeting = GREETING }) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/health') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ status: 'ok', instance, ...release }));
    } else if (pathname === '/') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(page({ greeting, instance, ...release }));
    } else {
      response.writeHead(404, { 'content-type': 'text/plain' });
      response.end('Not found\n');
    }
  });
}

/** What the build wrote about this release; in a checkout there is no such file. */
function readRelease() {
  try {
    return JSON.parse(readFileSync(new URL('../version.json', import.meta.url), 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { version: 'development', commit: 'none' };
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { HOST = '127.0.0.1', PORT = '8080', INSTANCE = 'local' } = process.env;
  const server = createApp({ release: readRelease(), instance: INSTANCE });
  server.listen(Number(PORT), HOST, () => console.log(`Listening on http://${HOST}:${PORT}/`));
  process.once('SIGTERM', () => {
    server.close();
    server.closeIdleConnections();
  });
}
