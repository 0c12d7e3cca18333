/**
 * The load generator: clients that each keep one connection and send the next request when they have the last one's answer. It speaks plain
 * sockets, since an HTTP client library would cost as much CPU as the server that is measured.
 *
 * Reads one LoadOrder as JSON from standard input and writes one LoadAnswer to standard output.
 */
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { LoadAnswer, LoadOrder } from './load.ts';

const order = JSON.parse(await text(process.stdin)) as LoadOrder;
const requests = order.requests.map((request) => Buffer.from(request));
const until = performance.now() + order.seconds * 1000;
const latencies: number[] = [];
const failures = new Map<string, number>();
let next = 0;

/** Undefined when the time is over or everything was sent. */
function take(): Buffer | undefined {
  if (performance.now() >= until || (!order.repeat && next >= requests.length)) return undefined;
  return requests[next++ % requests.length];
}

/** One connection's life, until there is nothing to send or the server closes it. Resolves true when the server closed it. */
function runConnection(socket: Socket): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let sentAt = 0;
    let received = '';
    const send = (): void => {
      const request = take();
      if (!request) {
        socket.destroy();
        resolve(false);
        return;
      }
      received = '';
      sentAt = performance.now();
      socket.write(request);
    };
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('connect', send);
    socket.on('data', (chunk: string) => {
      received += chunk;
      const answer = completeAnswer(received);
      if (!answer) return;
      latencies.push(performance.now() - sentAt);
      if (answer.status !== '200') failures.set(received, (failures.get(received) ?? 0) + 1);
      if (answer.closes) socket.end();
      else send();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(true));
  });
}

function completeAnswer(received: string): { status: string; closes: boolean } | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = received.slice(0, end).toLowerCase();
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  const complete = length === undefined ? received.endsWith('\r\n0\r\n\r\n') : received.length >= end + 4 + Number(length);
  return complete ? { status: head.slice(9, 12), closes: head.includes('\r\nconnection: close') } : undefined;
}

async function runClient(): Promise<void> {
  while (await runConnection(connect(order.port, '127.0.0.1')));
}

const begin = performance.now();
await Promise.all(Array.from({ length: order.clients }, runClient));
const answer: LoadAnswer = {
  seconds: (performance.now() - begin) / 1000,
  latencies: latencies.map((value) => Math.round(value * 1000) / 1000),
  failed: [...failures.values()].reduce((sum, count) => sum + count, 0),
  firstFailure: failures.keys().next().value,
};
process.stdout.write(JSON.stringify(answer));
