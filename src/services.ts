/** The services that this program is put together from. */
import { cloudtrail } from './cloud/cloudtrail/service.ts';
import { cloudwatch } from './cloud/cloudwatch/service.ts';
import { eventsService } from './cloud/events/service.ts';
import { iam } from './cloud/iam/service.ts';
import { kms } from './cloud/kms/service.ts';
import { logs } from './cloud/logs/service.ts';
import { s3 } from './cloud/s3/service.ts';
import { secretsmanager } from './cloud/secretsmanager/service.ts';
import { sns } from './cloud/sns/service.ts';
import { sqs } from './cloud/sqs/service.ts';
import { ssm } from './cloud/ssm/service.ts';
import { sts } from './cloud/sts/service.ts';
import { codebuild } from './devtools/codebuild/service.ts';
import { codecommit } from './devtools/codecommit/service.ts';
import { codeconnections, codestarConnections } from './devtools/codeconnections/service.ts';
import { codedeploy, codedeployCommands, codedeployCommandsSecure } from './devtools/codedeploy/service.ts';
import { codepipeline } from './devtools/codepipeline/service.ts';
import type { Service } from './platform/service.ts';

export const services: Service[] = [
  iam,
  sts,
  codebuild,
  codecommit,
  codeconnections,
  codestarConnections,
  codepipeline,
  codedeploy,
  codedeployCommands,
  codedeployCommandsSecure,
  s3,
  eventsService,
  kms,
  ssm,
  secretsmanager,
  logs,
  cloudwatch,
  cloudtrail,
  sns,
  sqs,
];
