/** The providers behind the action types. */
import type { ActionDeclaration } from '../tables.ts';
import { codebuild } from './codebuild.ts';
import { codecommitSource } from './codecommit-source.ts';
import { codedeploy } from './codedeploy.ts';
import { manualApproval } from './manual-approval.ts';
import type { Provider } from './provider.ts';
import { s3Deploy } from './s3-deploy.ts';
import { s3Source } from './s3-source.ts';

const PROVIDERS: Record<string, Provider> = {
  'Source/CodeCommit': codecommitSource,
  'Source/S3': s3Source,
  'Build/CodeBuild': codebuild,
  'Test/CodeBuild': codebuild,
  'Deploy/CodeDeploy': codedeploy,
  'Deploy/S3': s3Deploy,
  'Approval/Manual': manualApproval,
};

export function providerOf({ category, provider }: ActionDeclaration['actionTypeId']): Provider {
  const found = PROVIDERS[`${category}/${provider}`];
  if (!found) throw new Error(`No provider answers to ${category}/${provider}, although the pipeline was accepted.`);
  return found;
}
