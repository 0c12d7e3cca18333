/** The rows of `schema/040-resource-policies.sql`. */
export type SharedKind = 'project' | 'report-group';

export interface ResourcePoliciesTable {
  account: string;
  region: string;
  arn: string;
  kind: SharedKind;
  policy: string;
  principals: string[];
  modified_at: Date;
}

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.resource_policies': ResourcePoliciesTable;
  }
}
