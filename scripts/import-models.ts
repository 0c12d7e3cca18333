/**
 * Makes `models/*.json` from botocore's published service models: `npm run import-models -- DIR`, where DIR holds botocore's `data`
 * folder. Facts are kept (names, types, constraints, bindings, errors); prose, examples and endpoint rules are dropped.
 *
 * The developer tools keep their whole model. A neighbour keeps the operations below, and only the names of the others, so that those can
 * answer 501 instead of "unknown operation".
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

const WHOLE = ['codecommit', 'codebuild', 'codepipeline', 'codedeploy', 'codeconnections', 'codestar-connections'];

const AIMED: Record<string, string> = {
  iam: `CreateUser GetUser UpdateUser DeleteUser ListUsers CreateGroup GetGroup UpdateGroup DeleteGroup ListGroups AddUserToGroup
    RemoveUserFromGroup ListGroupsForUser CreateAccessKey ListAccessKeys UpdateAccessKey DeleteAccessKey GetAccessKeyLastUsed CreateRole
    GetRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole ListRoles PutUserPolicy GetUserPolicy DeleteUserPolicy
    ListUserPolicies PutGroupPolicy GetGroupPolicy DeleteGroupPolicy ListGroupPolicies PutRolePolicy GetRolePolicy DeleteRolePolicy
    ListRolePolicies CreatePolicy GetPolicy DeletePolicy ListPolicies CreatePolicyVersion GetPolicyVersion DeletePolicyVersion
    ListPolicyVersions SetDefaultPolicyVersion ListEntitiesForPolicy AttachUserPolicy DetachUserPolicy ListAttachedUserPolicies
    AttachGroupPolicy DetachGroupPolicy ListAttachedGroupPolicies AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies
    PutUserPermissionsBoundary DeleteUserPermissionsBoundary PutRolePermissionsBoundary DeleteRolePermissionsBoundary
    CreateInstanceProfile GetInstanceProfile DeleteInstanceProfile ListInstanceProfiles ListInstanceProfilesForRole
    AddRoleToInstanceProfile RemoveRoleFromInstanceProfile CreateServiceSpecificCredential ListServiceSpecificCredentials
    UpdateServiceSpecificCredential ResetServiceSpecificCredential DeleteServiceSpecificCredential CreateServiceLinkedRole
    TagUser UntagUser ListUserTags TagRole UntagRole ListRoleTags TagPolicy UntagPolicy ListPolicyTags TagInstanceProfile
    UntagInstanceProfile ListInstanceProfileTags UploadSSHPublicKey GetSSHPublicKey ListSSHPublicKeys UpdateSSHPublicKey
    DeleteSSHPublicKey CreateOpenIDConnectProvider GetOpenIDConnectProvider ListOpenIDConnectProviders DeleteOpenIDConnectProvider
    AddClientIDToOpenIDConnectProvider RemoveClientIDFromOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint
    TagOpenIDConnectProvider UntagOpenIDConnectProvider ListOpenIDConnectProviderTags SimulatePrincipalPolicy SimulateCustomPolicy
    GetContextKeysForCustomPolicy GetContextKeysForPrincipalPolicy CreateLoginProfile GetLoginProfile UpdateLoginProfile
    DeleteLoginProfile ChangePassword GetAccountPasswordPolicy UpdateAccountPasswordPolicy DeleteAccountPasswordPolicy
    CreateAccountAlias DeleteAccountAlias ListAccountAliases GetAccountSummary GetAccountAuthorizationDetails
    DeleteServiceLinkedRole GetServiceLinkedRoleDeletionStatus`,
  sts: `GetCallerIdentity AssumeRole GetSessionToken GetAccessKeyInfo AssumeRoleWithWebIdentity GetFederationToken
    DecodeAuthorizationMessage`,
  kms: `CreateKey DescribeKey ListKeys UpdateKeyDescription EnableKey DisableKey ScheduleKeyDeletion CancelKeyDeletion CreateAlias
    UpdateAlias DeleteAlias ListAliases GetKeyPolicy PutKeyPolicy ListKeyPolicies CreateGrant ListGrants ListRetirableGrants RetireGrant
    RevokeGrant Encrypt Decrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair
    GenerateDataKeyPairWithoutPlaintext GenerateRandom GenerateMac VerifyMac Sign Verify GetPublicKey EnableKeyRotation
    DisableKeyRotation GetKeyRotationStatus RotateKeyOnDemand ListKeyRotations TagResource UntagResource ListResourceTags`,
  cloudtrail: `LookupEvents CreateTrail UpdateTrail DeleteTrail DescribeTrails GetTrail ListTrails GetTrailStatus StartLogging
    StopLogging PutEventSelectors GetEventSelectors PutInsightSelectors GetInsightSelectors AddTags RemoveTags ListTags ListPublicKeys`,
  sns: `CreateTopic DeleteTopic ListTopics GetTopicAttributes SetTopicAttributes AddPermission RemovePermission Subscribe
    ConfirmSubscription Unsubscribe ListSubscriptions ListSubscriptionsByTopic GetSubscriptionAttributes SetSubscriptionAttributes
    Publish PublishBatch TagResource UntagResource ListTagsForResource GetDataProtectionPolicy PutDataProtectionPolicy`,
  sqs: `AddPermission CancelMessageMoveTask ChangeMessageVisibility ChangeMessageVisibilityBatch CreateQueue DeleteMessage
    DeleteMessageBatch DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues ListMessageMoveTasks ListQueueTags
    ListQueues PurgeQueue ReceiveMessage RemovePermission SendMessage SendMessageBatch SetQueueAttributes StartMessageMoveTask TagQueue
    UntagQueue`,
  ssm: `PutParameter GetParameter GetParameters GetParametersByPath GetParameterHistory DescribeParameters DeleteParameter
    DeleteParameters LabelParameterVersion UnlabelParameterVersion AddTagsToResource RemoveTagsFromResource ListTagsForResource`,
  secretsmanager: `BatchGetSecretValue CancelRotateSecret CreateSecret DeleteResourcePolicy DeleteSecret DescribeSecret GetRandomPassword
    GetResourcePolicy GetSecretValue ListSecretVersionIds ListSecrets PutResourcePolicy PutSecretValue RestoreSecret RotateSecret
    TagResource UntagResource UpdateSecret UpdateSecretVersionStage ValidateResourcePolicy`,
  s3: `ListBuckets CreateBucket HeadBucket DeleteBucket GetBucketLocation PutBucketVersioning GetBucketVersioning PutBucketPolicy
    GetBucketPolicy DeleteBucketPolicy GetBucketEncryption PutBucketEncryption DeleteBucketEncryption GetBucketTagging PutBucketTagging
    DeleteBucketTagging GetBucketAcl GetPublicAccessBlock PutPublicAccessBlock DeletePublicAccessBlock PutBucketNotificationConfiguration
    GetBucketNotificationConfiguration PutObject GetObject HeadObject CopyObject DeleteObject DeleteObjects ListObjects ListObjectsV2
    ListObjectVersions CreateMultipartUpload UploadPart UploadPartCopy CompleteMultipartUpload AbortMultipartUpload ListParts
    ListMultipartUploads GetObjectAttributes GetObjectTagging PutObjectTagging DeleteObjectTagging GetObjectAcl PutObjectAcl`,
  logs: `CreateLogGroup DeleteLogGroup DescribeLogGroups CreateLogStream DeleteLogStream DescribeLogStreams PutLogEvents GetLogEvents
    FilterLogEvents PutRetentionPolicy DeleteRetentionPolicy TagResource UntagResource ListTagsForResource TagLogGroup UntagLogGroup
    ListTagsLogGroup AssociateKmsKey DisassociateKmsKey StartLiveTail StartQuery StopQuery GetQueryResults DescribeQueries GetLogRecord
    GetLogGroupFields`,
  cloudwatch: `PutMetricData GetMetricData GetMetricStatistics ListMetrics PutMetricAlarm DescribeAlarms DescribeAlarmsForMetric
    DescribeAlarmHistory DeleteAlarms SetAlarmState EnableAlarmActions DisableAlarmActions PutCompositeAlarm TagResource UntagResource
    ListTagsForResource`,
  events: `PutRule DescribeRule DeleteRule EnableRule DisableRule ListRules ListRuleNamesByTarget PutTargets RemoveTargets
    ListTargetsByRule PutEvents TestEventPattern TagResource UntagResource ListTagsForResource CreateEventBus DescribeEventBus
    DeleteEventBus ListEventBuses UpdateEventBus PutPermission RemovePermission`,
};

const DROP = new Set(['documentation', 'documentationUrl', 'examples', 'deprecatedMessage', 'deprecatedSince', 'smithy.rules', 'endpoint']);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function facts(value: Json, key?: string): Json {
  if (Array.isArray(value)) return value.map((item) => facts(item));
  if (value === null || typeof value !== 'object') return value;
  // Members may be *named* "documentation": names of members are kept whatever they are.
  const entries = Object.entries(value).filter(
    ([name]) => key === 'members' || key === 'shapes' || key === 'operations' || !DROP.has(name),
  );
  return Object.fromEntries(entries.map(([name, inner]) => [name, facts(inner, key === 'members' || key === 'shapes' ? undefined : name)]));
}

function reachable(model: any, roots: string[]): Record<string, Json> {
  const kept: Record<string, Json> = {};
  const visit = (name: string | undefined): void => {
    if (!name || name in kept) return;
    const shape = model.shapes[name];
    kept[name] = shape;
    for (const member of Object.values<any>(shape.members ?? {})) visit(member.shape);
    visit(shape.member?.shape);
    visit(shape.key?.shape);
    visit(shape.value?.shape);
  };
  for (const root of roots) visit(root);
  return Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function importModel(dataDir: string, service: string): void {
  const serviceDir = path.join(dataDir, service);
  const version = readdirSync(serviceDir).sort().at(-1)!;
  const packed = readFileSync(path.join(serviceDir, version, 'service-2.json.gz'));
  const model: any = facts(JSON.parse(gunzipSync(packed).toString('utf8')));
  const aimed = AIMED[service]?.split(/\s+/);
  const names = Object.keys(model.operations).filter((name) => !aimed || aimed.includes(name));
  const missing = aimed?.filter((name) => !(name in model.operations)) ?? [];
  if (missing.length > 0) throw new Error(`${service}: the model has no ${missing.join(', ')}`);
  const operations = Object.fromEntries(names.map((name) => [name, model.operations[name]]));
  const roots = Object.values<any>(operations).flatMap((operation) => [
    operation.input?.shape,
    operation.output?.shape,
    ...(operation.errors ?? []).map((error: any) => error.shape),
  ]);
  const slim = {
    metadata: model.metadata,
    operations,
    otherOperations: Object.keys(model.operations).filter((name) => !(name in operations)),
    shapes: reachable(model, roots),
  };
  const patch = path.join('models', `${service}.patch.json`);
  if (existsSync(patch)) mergePatch(slim, JSON.parse(readFileSync(patch, 'utf8')));
  writeFileSync(path.join('models', `${service}.json`), `${JSON.stringify(slim, null, 1)}\n`);
  console.log(`${service}: ${names.length} operations, ${slim.otherOperations.length} names only`);
}

/** Corrections and additions of our own, as a JSON merge patch (RFC 7396). */
function mergePatch(target: Record<string, any>, patch: Record<string, any>): void {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (typeof value === 'object' && !Array.isArray(value) && typeof target[key] === 'object') mergePatch(target[key], value);
    else target[key] = value;
  }
}

const dataDir = process.argv[2];
if (!dataDir) throw new Error('Say where botocore keeps its models: npm run import-models -- path/to/botocore/data');
mkdirSync('models', { recursive: true });
for (const service of [...WHOLE, ...Object.keys(AIMED)]) importModel(dataDir, service);
