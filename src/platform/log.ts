import { type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;

/** JSON lines on standard error, so that standard output stays the command's own. */
export function createLogger(level: string): Logger {
  // pino writes an error as words only under the names that it was told of.
  const serializers = { error: pino.stdSerializers.err };
  return pino({ level, base: undefined, serializers }, pino.destination({ fd: 2, sync: false }));
}
