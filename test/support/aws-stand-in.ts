/** Stands in for an AWS service at another endpoint (`PENSTOCK_ENDPOINT_…`): keeps what it is sent and answers as it is told. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StandIn extends AsyncDisposable {
  readonly url: string;
  /** Waits until there were `count` requests that were answered with success; gives their bodies. */
  received(count: number): Promise<string[]>;
  /** How many requests came, whatever they were answered. */
  requests(): number;
  /** The answers to the next requests, one after another; from then on the usual one. */
  answerNext(...answers: { status: number; body: string }[]): void;
}

export async function standIn(usual: { status: number; body: string; type: string }): Promise<StandIn> {
  const bodies: string[] = [];
  const planned: { status: number; body: string }[] = [];
  let requests = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests++;
    const answer = planned.shift() ?? usual;
    if (answer.status < 300) bodies.push(Buffer.concat(chunks).toString());
    response.writeHead(answer.status, { 'content-type': usual.type }).end(answer.body);
    server.emit('answered');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async received(count) {
      const signal = AbortSignal.timeout(60_000);
      while (bodies.length < count) await once(server, 'answered', { signal });
      return [...bodies];
    },
    requests: () => requests,
    answerNext: (...answers) => void planned.push(...answers),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
