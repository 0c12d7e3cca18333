/** Kysely on our connections. */
import { CompiledQuery, type DatabaseConnection, Kysely, PostgresDialect, PostgresDriver, type TransactionSettings } from 'kysely';
import type pg from 'pg';
import type { Tables } from '../platform.ts';

export function createDatabase(pool: pg.Pool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PipeliningDialect({ pool }) });
}

class PipeliningDialect extends PostgresDialect {
  readonly #config: { pool: pg.Pool };

  constructor(config: { pool: pg.Pool }) {
    super(config);
    this.#config = config;
  }

  override createDriver(): PostgresDriver {
    return new PipeliningDriver(this.#config);
  }
}

const begin = CompiledQuery.raw('begin');

class PipeliningDriver extends PostgresDriver {
  /**
   * Does not wait for BEGIN, so that it travels together with the first statement. Only a broken connection can make it fail, and then the
   * statement fails for the same reason.
   */
  override async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    if (settings.isolationLevel || settings.accessMode) return super.beginTransaction(connection, settings);
    connection.executeQuery(begin).catch(() => {});
  }
}
