/** Makes the repository, project, application and pipeline of the demo, through the same API that its user will use. */
import type { Penstock } from '../../compose.ts';
import type { Input } from '../../platform/service.ts';
import { bucketName, GROUP, NAME, roleArn, TAG } from './names.ts';

const LEAST: Record<string, (bucket: string) => object[]> = {
  codebuild: (bucket) => [
    { Effect: 'Allow', Action: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'], Resource: '*' },
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject'], Resource: `arn:aws:s3:::${bucket}/*` },
  ],
  codepipeline: (bucket) => [
    { Effect: 'Allow', Action: ['codecommit:GetBranch', 'codecommit:GetCommit', 'codecommit:UploadArchive'], Resource: '*' },
    { Effect: 'Allow', Action: ['codebuild:StartBuild', 'codebuild:BatchGetBuilds'], Resource: '*' },
    { Effect: 'Allow', Action: 'codedeploy:*', Resource: '*' },
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject'], Resource: `arn:aws:s3:::${bucket}/*` },
  ],
  codedeploy: (bucket) => [{ Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectVersion'], Resource: `arn:aws:s3:::${bucket}/*` }],
};

/** Runs `create`, taking "it is there already" for success. */
export async function unlessThere(create: Promise<unknown>): Promise<void> {
  try {
    await create;
  } catch (error) {
    const { code = '' } = error as { code?: string };
    if (!/AlreadyExists|AlreadyOwnedByYou|NameExists|NameInUse|AlreadyRegistered/.test(code)) throw error;
  }
}

export async function makeRepository({ clients }: Penstock): Promise<void> {
  await unlessThere(
    clients.codecommit.createRepository({ repositoryName: NAME, repositoryDescription: 'The sample application of penstock demo' }),
  );
}

export async function makeRoles(penstock: Penstock): Promise<void> {
  const { iam, s3 } = penstock.clients;
  await unlessThere(s3.createBucket(inRegion(penstock)));
  await s3.putBucketVersioning({ Bucket: bucketName(penstock), VersioningConfiguration: { Status: 'Enabled' } });
  for (const [service, statements] of Object.entries(LEAST)) {
    const trust = { Effect: 'Allow', Principal: { Service: `${service}.amazonaws.com` }, Action: 'sts:AssumeRole' };
    const RoleName = `${NAME}-${service}`;
    await unlessThere(iam.createRole({ RoleName, AssumeRolePolicyDocument: policy([trust]) }));
    await iam.putRolePolicy({ RoleName, PolicyName: 'least', PolicyDocument: policy(statements(bucketName(penstock))) });
  }
}

function inRegion(penstock: Penstock): Input<'s3', 'CreateBucket'> {
  const { region } = penstock.config;
  const elsewhere = region === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-west-1' } };
  return { Bucket: bucketName(penstock), ...elsewhere };
}

export function policy(Statement: object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement });
}

export async function makeProject(penstock: Penstock): Promise<void> {
  await unlessThere(
    penstock.clients.codebuild.createProject({
      name: NAME,
      source: { type: 'CODEPIPELINE' },
      artifacts: { type: 'CODEPIPELINE' },
      environment: { type: 'LINUX_CONTAINER', image: 'aws/codebuild/standard:7.0', computeType: 'BUILD_GENERAL1_SMALL' },
      serviceRole: roleArn(penstock, 'codebuild'),
    }),
  );
}

export async function makeApplication(penstock: Penstock): Promise<void> {
  const { codedeploy } = penstock.clients;
  await unlessThere(codedeploy.createApplication({ applicationName: NAME, computePlatform: 'Server' }));
  await unlessThere(
    codedeploy.createDeploymentGroup({
      applicationName: NAME,
      deploymentGroupName: GROUP,
      deploymentConfigName: 'CodeDeployDefault.OneAtATime',
      onPremisesInstanceTagFilters: [{ ...TAG, Type: 'KEY_AND_VALUE' }],
      serviceRoleArn: roleArn(penstock, 'codedeploy'),
      autoRollbackConfiguration: { enabled: true, events: ['DEPLOYMENT_FAILURE'] },
    }),
  );
}

export async function makePipeline(penstock: Penstock): Promise<void> {
  await unlessThere(penstock.clients.codepipeline.createPipeline({ pipeline: declaration(penstock) }));
}

type Declaration = Input<'codepipeline', 'CreatePipeline'>['pipeline'];
type Action = Declaration['stages'][number]['actions'][number];

function declaration(penstock: Penstock): Declaration {
  const action = (
    name: string,
    category: Action['actionTypeId']['category'],
    provider: string,
    rest: Omit<Action, 'name' | 'actionTypeId'>,
  ): Action => ({ name, actionTypeId: { category, owner: 'AWS', provider, version: '1' }, ...rest });
  const source = [{ name: 'Source' }];
  const built = [{ name: 'Built' }];
  return {
    name: NAME,
    roleArn: roleArn(penstock, 'codepipeline'),
    pipelineType: 'V2',
    artifactStore: { type: 'S3', location: bucketName(penstock) },
    stages: [
      {
        name: 'Source',
        actions: [
          action('Repository', 'Source', 'CodeCommit', {
            configuration: { RepositoryName: NAME, BranchName: 'main' },
            outputArtifacts: source,
            namespace: 'Source',
          }),
        ],
      },
      {
        name: 'Build',
        actions: [
          action('BuildAndTest', 'Build', 'CodeBuild', {
            configuration: { ProjectName: NAME },
            inputArtifacts: source,
            outputArtifacts: built,
          }),
        ],
      },
      {
        name: 'Approval',
        actions: [action('Release', 'Approval', 'Manual', { configuration: { CustomData: 'Release commit #{Source.CommitId}?' } })],
      },
      {
        name: 'Deploy',
        actions: [
          action('Instances', 'Deploy', 'CodeDeploy', {
            configuration: { ApplicationName: NAME, DeploymentGroupName: GROUP },
            inputArtifacts: built,
          }),
        ],
      },
    ],
  };
}
