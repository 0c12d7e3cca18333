/** The rows of `schema/020-source-credentials.sql`. */
import type { Selectable } from 'kysely';
import type { Input } from '../../../platform/service.ts';
import type { ServerType } from '../providers/provider.ts';

export interface SourceCredentialsTable {
  account: string;
  region: string;
  server_type: ServerType;
  auth_type: Input<'codebuild', 'ImportSourceCredentials'>['authType'];
  sealed: string | null;
  user_name: string | null;
  resource: string | null;
  created_at: Date;
}

export type SourceCredentialsRow = Selectable<SourceCredentialsTable>;

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.source_credentials': SourceCredentialsTable;
  }
}
