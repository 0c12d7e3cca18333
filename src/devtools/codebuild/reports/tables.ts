/** The rows of `schema/030-reports.sql`. */
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type { ShapeOf } from '../../../platform/service.ts';
import type { CaseStatus, ReportType } from './formats/result.ts';

export type ExportConfig = ShapeOf<'codebuild', 'ReportExportConfig'>;
export type ReportStatus = 'GENERATING' | 'SUCCEEDED' | 'FAILED' | 'INCOMPLETE' | 'DELETING';
type TestSummary = ShapeOf<'codebuild', 'TestReportSummary'>;
type CoverageSummary = ShapeOf<'codebuild', 'CodeCoverageReportSummary'>;

type Json<T> = JSONColumnType<T & object, string, string>;

export interface ReportGroupsTable {
  id: string;
  account: string;
  region: string;
  name: string;
  type: ReportType;
  export_config: Json<ExportConfig>;
  tags: Json<Record<string, string>>;
  status: 'ACTIVE' | 'DELETING';
  created_at: Date;
  modified_at: Date;
}

export interface ReportsTable {
  id: string;
  account: string;
  region: string;
  report_order: Generated<string>;
  group_id: string;
  group_name: string;
  build: string;
  execution: string;
  type: ReportType;
  status: ReportStatus;
  created_at: Date;
  expires_at: Date;
  export_config: Json<ExportConfig>;
  truncated: Generated<boolean>;
  test_summary: JSONColumnType<TestSummary | null, string | undefined, string | null>;
  coverage_summary: JSONColumnType<CoverageSummary | null, string | undefined, string | null>;
  merged_into: string | null;
}

export interface TestCasesTable {
  report: string;
  ordinal: number;
  raw_path: string;
  prefix: string;
  name: string;
  suite: string;
  status: CaseStatus;
  /** ns; PostgreSQL's bigint comes as text. */
  duration: string | number;
  message: string;
}

export interface CodeCoveragesTable {
  report: string;
  ordinal: number;
  id: string;
  file_path: string;
  lines_covered: number;
  lines_missed: number;
  line_percentage: number;
  branches_covered: number;
  branches_missed: number;
  branch_percentage: number;
}

export type ReportGroupRow = Selectable<ReportGroupsTable>;
export type ReportRow = Selectable<ReportsTable>;

declare module '../../../platform/platform.ts' {
  interface Tables {
    'codebuild.report_groups': ReportGroupsTable;
    'codebuild.reports': ReportsTable;
    'codebuild.test_cases': TestCasesTable;
    'codebuild.code_coverages': CodeCoveragesTable;
  }
}
