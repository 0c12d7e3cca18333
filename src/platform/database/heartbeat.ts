/** Notices a database that has fallen silent: a cut network breaks no connection, and TCP alone would wait for a quarter of an hour. */
import type pg from 'pg';

const BEAT_MS = 2_000;
/** So many beats without an answer. They are counted by a timer: in a process that was too busy to look for the answer, no beat passes. */
const SILENT_BEATS = 4;

/** Asks the connection again and again, until it ends. Calls back when it does not answer for eight seconds. */
export function watchConnection(client: pg.Client, onSilence: () => void): void {
  let unanswered = 0;
  const timer = setInterval(() => {
    if (unanswered === SILENT_BEATS) return onSilence();
    unanswered += 1;
    if (unanswered > 1) return;
    client.query('select 1').then(
      () => {
        unanswered = 0;
      },
      () => {}, // It ends, and says so itself.
    );
  }, BEAT_MS).unref();
  client.once('end', () => clearInterval(timer));
}

/** Ends it without a farewell, which would not be heard. Whoever waits for it is told that it broke. */
export function breakConnection(client: pg.Client | pg.PoolClient): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
