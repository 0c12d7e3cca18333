/** What tests of pull requests and their reviews share: users of their own, repositories with two branches, and the events that are told. */
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { CodeCommit, type PullRequest } from '@aws-sdk/client-codecommit';
import { EventBridge } from '@aws-sdk/client-eventbridge';
import { IAM } from '@aws-sdk/client-iam';
import type { TestServer } from './server.ts';

const logGroupName = '/aws/events/reviews';
const DEADLINE_MS = 30_000;

export interface ToldEvent {
  'detail-type': string;
  resources: string[];
  detail: Record<string, any>;
}

export interface Reviewer {
  arn: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  codecommit: CodeCommit;
}

/** The content of a rule that asks for so many approvals, from anybody or from a pool. */
export function approvers(needed: number, pool?: string[], more: object = {}): string {
  const statement = { Type: 'Approvers', NumberOfApprovalsNeeded: needed, ApprovalPoolMembers: pool };
  return JSON.stringify({ Version: '2018-11-08', ...more, Statements: [statement] });
}

export class Reviews {
  /** As the first administrator, who is the author of every pull request that `open` makes. */
  readonly codecommit: CodeCommit;
  readonly #server: TestServer;
  readonly #iam: IAM;

  private constructor(server: TestServer) {
    this.#server = server;
    this.codecommit = new CodeCommit(server.client);
    this.#iam = new IAM(server.client);
  }

  static async open(server: TestServer): Promise<Reviews> {
    const events = new EventBridge(server.client);
    await new CloudWatchLogs(server.client).createLogGroup({ logGroupName });
    // Not the calls, which CloudTrail tells.
    const EventPattern = JSON.stringify({ source: ['aws.codecommit'], 'detail-type': [{ prefix: 'CodeCommit ' }] });
    await events.putRule({ Name: 'reviews', EventPattern });
    const Arn = `arn:aws:logs:${server.region}:${server.account}:log-group:${logGroupName}`;
    await events.putTargets({ Rule: 'reviews', Targets: [{ Id: 'log', Arn }] });
    return new Reviews(server);
  }

  /** An IAM user who may do everything in CodeCommit, or what the statements allow. */
  async user(UserName: string, Statement: object[] = [{ Effect: 'Allow', Action: 'codecommit:*', Resource: '*' }]): Promise<Reviewer> {
    const { User } = await this.#iam.createUser({ UserName });
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await this.#iam.putUserPolicy({ UserName, PolicyName: 'codecommit', PolicyDocument });
    const { AccessKey } = await this.#iam.createAccessKey({ UserName });
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    return { arn: User!.Arn!, credentials, codecommit: new CodeCommit({ ...this.#server.client, credentials }) };
  }

  async commit(repositoryName: string, branchName: string, parentCommitId: string | undefined, filePath: string, text: string) {
    const fileContent = Buffer.from(text);
    const { commitId } = await this.codecommit.putFile({ repositoryName, branchName, parentCommitId, filePath, fileContent });
    return commitId!;
  }

  /** `main` with file `a`, and `topic` one commit ahead with file `b` of two lines. */
  async repository(repositoryName: string): Promise<{ base: string; source: string }> {
    await this.codecommit.createRepository({ repositoryName });
    const base = await this.commit(repositoryName, 'main', undefined, 'a', '1\n');
    await this.codecommit.createBranch({ repositoryName, branchName: 'topic', commitId: base });
    const source = await this.commit(repositoryName, 'topic', base, 'b', '1\n2\n');
    return { base, source };
  }

  /** A pull request from `topic` to `main`. */
  async open(repositoryName: string, more: { title?: string; description?: string } = {}): Promise<OpenPullRequest> {
    const targets = [{ repositoryName, sourceReference: 'topic' }];
    const { pullRequest } = await this.codecommit.createPullRequest({ title: 'Change b', targets, ...more });
    return pullRequest as OpenPullRequest;
  }

  async get(pullRequestId: string): Promise<OpenPullRequest> {
    const { pullRequest } = await this.codecommit.getPullRequest({ pullRequestId });
    return pullRequest as OpenPullRequest;
  }

  /** The events that fit, once as many as expected were delivered; order is not kept by delivery. */
  async told(fits: (event: ToldEvent) => boolean, count: number): Promise<ToldEvent[]> {
    const logs = new CloudWatchLogs(this.#server.client);
    for (const deadline = Date.now() + DEADLINE_MS; ; await delay(50)) {
      const found: ToldEvent[] = [];
      let nextToken: string | undefined;
      do {
        const page = await logs.filterLogEvents({ logGroupName, nextToken });
        found.push(...page.events!.map(({ message }) => JSON.parse(message!)).filter(fits));
        nextToken = page.nextToken;
      } while (nextToken);
      if (found.length >= count || Date.now() > deadline) return found;
    }
  }
}

export type OpenPullRequest = PullRequest & { pullRequestId: string; revisionId: string; authorArn: string };
