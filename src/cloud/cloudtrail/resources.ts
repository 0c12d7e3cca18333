/** Which resources a call is about: what LookupEvents finds by ResourceType and ResourceName, and the `resources` of a record. */
import type { Fact } from './journal/facts.ts';

export interface ResourceRef {
  type: string;
  /** The name by which the caller spoke of it. */
  name: string;
  arn?: string | undefined;
}

/** Nobody looks for the hundredth resource of a call. */
const MAX_RESOURCES = 20;
const MAX_NAME = 2_000;

/** Members of inputs that name a resource: its type, and its ARN where that follows from the name. */
type Rule = [member: string, type: string, arn?: (name: string, where: Where) => string];
interface Where {
  account: string;
  region: string;
}

const plain =
  (service: string, prefix = '') =>
  (name: string, { account, region }: Where): string =>
    `arn:aws:${service}:${region}:${account}:${prefix}${name}`;
const repository: Rule = ['repositoryName', 'AWS::CodeCommit::Repository', plain('codecommit')];

const project: Rule = ['projectName', 'AWS::CodeBuild::Project', plain('codebuild', 'project/')];

const RULES: Record<string, Rule[]> = {
  codecommit: [repository, ['repositoryNames', ...rest(repository)]],
  codebuild: [project, ['names', ...rest(project)]],
  codepipeline: [
    ['pipelineName', 'AWS::CodePipeline::Pipeline', plain('codepipeline')],
    ['name', 'AWS::CodePipeline::Pipeline', plain('codepipeline')],
    ['pipeline', 'AWS::CodePipeline::Pipeline', plain('codepipeline')],
  ],
  codedeploy: [
    ['applicationName', 'AWS::CodeDeploy::Application', plain('codedeploy', 'application:')],
    ['deploymentGroupName', 'AWS::CodeDeploy::DeploymentGroup'],
    ['deploymentConfigName', 'AWS::CodeDeploy::DeploymentConfig', plain('codedeploy', 'deploymentconfig:')],
  ],
  s3: [['Bucket', 'AWS::S3::Bucket', (name) => `arn:aws:s3:::${name}`]],
  iam: [
    ['UserName', 'AWS::IAM::User'],
    ['RoleName', 'AWS::IAM::Role'],
    ['GroupName', 'AWS::IAM::Group'],
    ['PolicyName', 'AWS::IAM::Policy'],
    ['InstanceProfileName', 'AWS::IAM::InstanceProfile'],
    ['AccessKeyId', 'AWS::IAM::AccessKey'],
  ],
  kms: [
    ['KeyId', 'AWS::KMS::Key'],
    ['TargetKeyId', 'AWS::KMS::Key'],
    ['AliasName', 'AWS::KMS::Alias', plain('kms')],
  ],
  logs: [['logGroupName', 'AWS::Logs::LogGroup']],
  events: [
    ['EventBusName', 'AWS::Events::EventBus', plain('events', 'event-bus/')],
    ['Rule', 'AWS::Events::Rule', plain('events', 'rule/')],
  ],
  sns: [['Name', 'AWS::SNS::Topic', plain('sns')]],
  sqs: [['QueueName', 'AWS::SQS::Queue', plain('sqs')]],
  ssm: [
    ['Name', 'AWS::SSM::Parameter'],
    ['Names', 'AWS::SSM::Parameter'],
  ],
  secretsmanager: [
    ['SecretId', 'AWS::SecretsManager::Secret'],
    ['Name', 'AWS::SecretsManager::Secret'],
  ],
  cloudtrail: [
    ['Name', 'AWS::CloudTrail::Trail', plain('cloudtrail', 'trail/')],
    ['TrailName', 'AWS::CloudTrail::Trail', plain('cloudtrail', 'trail/')],
    ['S3BucketName', 'AWS::S3::Bucket', (name) => `arn:aws:s3:::${name}`],
  ],
};

/** Operations whose members mean something else than in the rest of their service. */
const OF_OPERATION: Record<string, Rule[]> = {
  'codebuild:BatchGetFleets': [['names', 'AWS::CodeBuild::Fleet']],
  'codebuild:DeleteProject': [['name', ...rest(project)]],
};

function rest([, ...more]: Rule): [type: string, arn?: (name: string, where: Where) => string] {
  return more;
}

/** What an ARN is of, by its service and what follows its account. */
const ARN_TYPES: [RegExp, string][] = [
  [/^codecommit:[^/]*$/, 'AWS::CodeCommit::Repository'],
  [/^codebuild:project\//, 'AWS::CodeBuild::Project'],
  [/^codebuild:report-group\//, 'AWS::CodeBuild::ReportGroup'],
  [/^codebuild:fleet\//, 'AWS::CodeBuild::Fleet'],
  [/^codepipeline:webhook:/, 'AWS::CodePipeline::Webhook'],
  [/^codepipeline:[^/:]*$/, 'AWS::CodePipeline::Pipeline'],
  [/^codedeploy:application:/, 'AWS::CodeDeploy::Application'],
  [/^codedeploy:deploymentgroup:/, 'AWS::CodeDeploy::DeploymentGroup'],
  [/^codedeploy:deploymentconfig:/, 'AWS::CodeDeploy::DeploymentConfig'],
  [/^s3:[^/]*$/, 'AWS::S3::Bucket'],
  [/^s3:.*\//, 'AWS::S3::Object'],
  [/^iam:user\//, 'AWS::IAM::User'],
  [/^iam:role\//, 'AWS::IAM::Role'],
  [/^iam:group\//, 'AWS::IAM::Group'],
  [/^iam:policy\//, 'AWS::IAM::ManagedPolicy'],
  [/^iam:instance-profile\//, 'AWS::IAM::InstanceProfile'],
  [/^iam:oidc-provider\//, 'AWS::IAM::OIDCProvider'],
  [/^sts:assumed-role\//, 'AWS::STS::AssumedRole'],
  [/^kms:key\//, 'AWS::KMS::Key'],
  [/^kms:alias\//, 'AWS::KMS::Alias'],
  [/^logs:log-group:/, 'AWS::Logs::LogGroup'],
  [/^events:rule\//, 'AWS::Events::Rule'],
  [/^events:event-bus\//, 'AWS::Events::EventBus'],
  [/^sns:/, 'AWS::SNS::Topic'],
  [/^sqs:/, 'AWS::SQS::Queue'],
  [/^ssm:parameter\//, 'AWS::SSM::Parameter'],
  [/^secretsmanager:secret:/, 'AWS::SecretsManager::Secret'],
  [/^cloudtrail:trail\//, 'AWS::CloudTrail::Trail'],
];

export function resourcesOf(fact: Fact): ResourceRef[] {
  const found = new Map<string, ResourceRef>();
  const where: Where = fact.caller;
  const add = (type: string, name: string, arn?: string): void => {
    if (found.size < MAX_RESOURCES && name !== '' && name.length <= MAX_NAME) found.set(`${type} ${name}`, { type, name, arn });
  };
  const addArn = (text: string): void => {
    const type = arnType(text);
    if (type) add(type, text, text);
  };
  if (fact.git) add(repository[1], fact.git.repositoryName, repository[2]!(fact.git.repositoryName, where));
  const input = structure(fact.input);
  for (const [member, type, arn] of OF_OPERATION[`${fact.service}:${fact.operation}`] ?? RULES[fact.service] ?? []) {
    for (const name of strings(input[member])) if (!name.startsWith('arn:')) add(type, name, arn?.(name, where));
  }
  addObject(fact, input, add);
  for (const value of Object.values(input)) for (const text of strings(value)) addArn(text);
  // What was made is told by the answer: its ARN stands in it, or one level down.
  for (const value of Object.values(structure(fact.output))) {
    for (const text of strings(value)) addArn(text);
    for (const [name, inner] of Object.entries(structure(value))) if (/arn$/i.test(name)) for (const text of strings(inner)) addArn(text);
  }
  return withArns([...found.values()]);
}

function addObject(fact: Fact, input: Record<string, unknown>, add: (type: string, name: string, arn?: string) => void): void {
  if (fact.service !== 's3' || typeof input.Bucket !== 'string' || typeof input.Key !== 'string') return;
  const arn = `arn:aws:s3:::${input.Bucket}/${input.Key}`;
  add('AWS::S3::Object', arn, arn);
}

/** A thing that was named and also has its ARN in the answer is one thing to `resources`, which lists ARNs once. */
function withArns(refs: ResourceRef[]): ResourceRef[] {
  const seen = new Set<string>();
  return refs.map((ref) => {
    if (ref.arn === undefined || !seen.has(ref.arn)) {
      if (ref.arn !== undefined) seen.add(ref.arn);
      return ref;
    }
    return { type: ref.type, name: ref.name };
  });
}

function arnType(arn: string): string | undefined {
  const found = /^arn:[\w-]+:([\w-]+):[\w-]*:\d*:(.+)$/s.exec(arn);
  if (!found) return undefined;
  const text = `${found[1]}:${found[2]}`;
  return ARN_TYPES.find(([pattern]) => pattern.test(text))?.[1];
}

function structure(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string').slice(0, MAX_RESOURCES) : [];
}
