/** The rows of `schema/`. */
import type { ColumnType, JSONColumnType } from 'kysely';

export type EntityKind = 'user' | 'group' | 'role' | 'policy' | 'instance-profile';
export type Tags = Record<string, string>;

/** As UpdateAccountPasswordPolicy gave it. */
export interface PasswordPolicy {
  MinimumPasswordLength: number;
  RequireSymbols?: boolean;
  RequireNumbers?: boolean;
  RequireUppercaseCharacters?: boolean;
  RequireLowercaseCharacters?: boolean;
  AllowUsersToChangePassword?: boolean;
  /** Days. */
  MaxPasswordAge?: number;
  PasswordReusePrevention?: number;
  HardExpiry?: boolean;
}

export interface EntitiesTable {
  id: string;
  account: string;
  kind: EntityKind;
  key: string;
  name: string;
  path: string;
  arn: string;
  created_at: Date;
  tags: JSONColumnType<Tags, string | undefined, string>;
  description: ColumnType<string | null, string | null | undefined>;
  boundary: ColumnType<string | null, string | null | undefined>;
  trust_policy: ColumnType<string | null, string | null | undefined>;
  max_session_seconds: ColumnType<number | null, number | null | undefined>;
  linked_service: ColumnType<string | null, string | null | undefined>;
  last_used_at: ColumnType<Date | null, Date | null | undefined>;
  last_used_region: ColumnType<string | null, string | null | undefined>;
  role_id: ColumnType<string | null, string | null | undefined>;
  default_version: ColumnType<number | null, number | null | undefined>;
  latest_version: ColumnType<number | null, number | null | undefined>;
  updated_at: ColumnType<Date | null, Date | null | undefined>;
}

declare module '../../platform/platform.ts' {
  interface Tables {
    'iam.accounts': {
      account: string;
      created_at: Date;
      alias: ColumnType<string | null, string | null | undefined>;
      password_policy: JSONColumnType<PasswordPolicy, string | undefined, string | null> | null;
    };
    'iam.login_profiles': { user_id: string; password_hash: string; created_at: Date; changed_at: Date; reset_required: boolean };
    'iam.former_passwords': { user_id: string; password_hash: string; replaced_at: Date };
    'iam.oidc_providers': {
      arn: string;
      account: string;
      url: string;
      client_ids: string[];
      thumbprints: string[];
      tags: JSONColumnType<Tags, string, string>;
      created_at: Date;
    };
    'iam.entities': EntitiesTable;
    'iam.policy_versions': { policy_id: string; version: number; document: string; created_at: Date };
    'iam.inline_policies': { entity_id: string; name: string; document: string };
    'iam.attachments': { entity_id: string; policy_arn: string; account: string };
    'iam.group_members': { group_id: string; user_id: string };
    'iam.access_keys': {
      id: string;
      user_id: string;
      secret: string;
      active: boolean;
      created_at: Date;
      last_used_at: ColumnType<Date | null, Date | null | undefined>;
      last_used_service: ColumnType<string | null, string | null | undefined>;
      last_used_region: ColumnType<string | null, string | null | undefined>;
    };
    'iam.ssh_keys': {
      id: string;
      user_id: string;
      type: string;
      public_key: Buffer;
      comment: string;
      active: boolean;
      created_at: Date;
    };
    'iam.service_credentials': {
      id: string;
      user_id: string;
      service: string;
      user_name: string;
      password_hash: string;
      active: boolean;
      created_at: Date;
      expires_at: ColumnType<Date | null, Date | null | undefined>;
    };
  }
}
